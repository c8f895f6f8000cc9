// SPDX-License-Identifier: MIT
/* What `status` says of the guard. */
#include "watch-state.h"

#include "agent.h"
#include "answers.h"
#include "detect.h"
#include "heartbeat.h"

static json_t *interfaces_json(struct hg_watch *w)
{
	struct hg_guard_interface list[HG_GUARD_INTERFACES_MAX];
	json_t *all = json_array();
	size_t n = 0;

	if (w->host->interfaces(w->guard, list, &n))
		n = 0;
	for (size_t i = 0; i < n; i++)
		json_array_append_new(all, json_pack("{s:s, s:s, s:b}", "name", list[i].name,
						     "mode", hg_guard_mode_name(list[i].got),
						     "attached", list[i].ifindex && list[i].got));
	return all;
}

json_t *hg_watch_guard_status(struct hg_watch *w)
{
	struct hg_guard_config config;
	__u64 counters[HG_REASON_MAX], passed = 0, dropped = 0;
	json_t *reasons;

	if (!w || !w->agent->conf.guard.interfaces.count)
		return json_null();
	if (!w->guard || w->host->get_config(w->guard, &config) ||
	    w->host->counters(w->guard, counters))
		return json_pack("{s:s}", "error",
				 w->guard_error[0] ? w->guard_error : "cannot be read");
	reasons = json_object();
	for (int i = 0; i < HG_REASON_MAX; i++) {
		json_object_set_new(reasons, hg_reason_name(i), json_integer(counters[i]));
		if (i >= HG_DROP_NO_FLOW)
			dropped += counters[i];
		else if (i != HG_PASS_OUT)
			passed += counters[i];
	}
	return json_pack("{s:s, s:s, s:b, s:b, s:s, s:o, s:I, s:I, s:o, s:I, s:o, s:o, s:s}",
			 "host", w->host->name, "policy", hg_policy_name(config.policy), "confine",
			 config.flags & HG_GUARD_CONFINE, "police", config.flags & HG_GUARD_POLICE,
			 "gate", hg_guard_gate_name(&config), "interfaces", interfaces_json(w),
			 "passed", (json_int_t)passed, "dropped", (json_int_t)dropped, "reasons",
			 reasons, "episodes",
			 (json_int_t)(w->detect ? hg_detect_episodes(w->detect) : 0), "names",
			 w->answers ? hg_answers_status(w->answers) : json_null(), "heartbeat",
			 hg_heartbeat_status(w->heartbeat), "error", w->guard_error);
}
