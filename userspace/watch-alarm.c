// SPDX-License-Identifier: MIT
/*
 * What becomes of an alarm: a number that no other has, the log, the sender if there is one
 * (a collector is configured); and what the answer means for the numbers. Called by watch.c.
 */
#include "watch-state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "agent.h"
#include "alarm.h"
#include "detect.h"
#include "heartbeat.h"
#include "model.h"
#include "profile-compile.h"
#include "store.h"
#include "../lib/log.h"

#define COUNTER_LAST (UINT64_C(1) << 62) /* from here on no number is skipped */

static uint64_t next_counter(void *ctx)
{
	struct hg_watch *w = ctx;
	uint64_t number;

	if (hg_store_next(w->agent->store, HG_COUNTER_ALARM, &number)) {
		hg_error("alarm: %s", hg_store_error(w->agent->store));
		return 0;
	}
	return number;
}

static void on_answered(void *ctx, uint64_t counter, int result)
{
	struct hg_watch *w = ctx;
	uint64_t least;

	if (!result) {
		hg_info("alarm: %llu: acknowledged", (unsigned long long)counter);
		w->refused = 0;
		return;
	}
	hg_warn("alarm: %llu: refused by the collector", (unsigned long long)counter);
	/*
	 * It may have taken higher numbers: of a copy, or of a store that was lost. The time is
	 * above them if the clock is right and was; else steps that double find a way.
	 */
	least = counter +
		(UINT64_C(1024) << (w->refused < HG_WATCH_STEPS_MAX ? w->refused++
								    : HG_WATCH_STEPS_MAX));
	if (least < hg_now_ms())
		least = hg_now_ms();
	if (least < COUNTER_LAST && hg_store_raise(w->agent->store, HG_COUNTER_ALARM, least))
		hg_error("alarm: %s", hg_store_error(w->agent->store));
}

int hg_watch_on_alarm(void *ctx, const struct hg_alarm *alarm, uint64_t *episode)
{
	struct hg_watch *w = ctx;
	const char *name = hg_alarm_class_name(alarm->alarm_class);
	const char *attack = hg_attack_name(alarm->attack);
	const char *feature = hg_alarm_feature_name(alarm->feature);

	hg_warn("alarm: %s: %s: %s %llu, bound %llu, in %u s, channel %s", name ? name : "?",
		attack ? attack : "?", feature ? feature : "?", (unsigned long long)alarm->value,
		(unsigned long long)alarm->bound, alarm->window,
		w->profile->channels[alarm->channel % HG_CHANNELS_MAX]);
	if (w->sender)
		return hg_alarm_sender_state(w->sender, alarm, episode);
	if (!*episode)
		*episode = next_counter(w);
	return *episode ? 0 : -EAGAIN;
}

int hg_watch_start_sender(struct hg_watch *w, char *err, size_t err_size)
{
	const struct hg_agent_conf *c = &w->agent->conf;
	struct hg_alarm_options o = {
		.base = w->agent->base,
		.uid = w->agent->uid,
		.model = w->profile	   ? w->profile->model
			 : w->agent->model ? hg_model_title(w->agent->model)
					   : "",
		.firmware = c->device.firmware ? c->device.firmware
			    : w->profile       ? w->profile->firmware
					       : "",
		.cert = c->mirror.cert,
		.key = c->mirror.key,
		.collector_cert = c->collector.cert,
		.next_counter = next_counter,
		.answered = on_answered,
		.ctx = w,
	};

	w->sender = hg_alarm_sender_new(&o, err, err_size);
	return w->sender ? 0 : -EINVAL;
}

void hg_watch_identity(struct hg_watch *w)
{
	const struct hg_agent_conf *c = &w->agent->conf;
	char err[512] = "";

	if (!w->sender)
		return;
	if (hg_alarm_sender_identity(w->sender, c->mirror.cert, c->mirror.key, err, sizeof(err)))
		hg_error("alarm: %s; alarms are signed with the old certificate", err);
	else if (w->heartbeat)
		hg_heartbeat_sign_anew(w->heartbeat);
}

int hg_watch_start_heartbeat(struct hg_watch *w)
{
	w->heartbeat = hg_heartbeat_new(w->agent->base, w->sender,
					(w->agent->conf.guard.heartbeat + 999) / 1000);
	if (!w->heartbeat)
		return -ENOMEM;
	if (w->guard)
		hg_heartbeat_set_guard(w->heartbeat, w->host, w->guard);
	return 0;
}

int hg_watch_alarm_test(struct hg_watch *w, uint64_t *counter, char *err, size_t err_size)
{
	int ret;

	if (!w->sender) {
		snprintf(err, err_size, "no collector is configured ([collector] host)");
		return -ENOTCONN;
	}
	ret = hg_alarm_sender_test(w->sender, counter);
	if (ret)
		snprintf(err, err_size, "cannot make an alarm: %s", strerror(-ret));
	return ret;
}

json_t *hg_watch_alarm_status(struct hg_watch *w)
{
	struct hg_alarm_status st;

	if (!w || !w->sender)
		return json_null();
	hg_alarm_sender_status(w->sender, &st);
	return json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "connected", st.connected,
			 "enrolled", st.enrolled, "waiting", (json_int_t)st.waiting, "sent",
			 (json_int_t)st.sent, "repeated", (json_int_t)st.repeated, "acknowledged",
			 (json_int_t)st.acknowledged, "refused", (json_int_t)st.refused, "given_up",
			 (json_int_t)st.given_up);
}
