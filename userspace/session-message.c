// SPDX-License-Identifier: MIT
/*
 * What a request says: cursors, changes of ours that the mirror does not hold, ends of commands
 * that it has not been told, as much of each as one message takes. Values are copied out of the
 * store, for the store is written to before the answer comes.
 */
#include "session.h"

#include <stdio.h>
#include <string.h>
#include "agent.h"

/* The copy, or an empty slice with ptr NULL if there is no room. */
static struct hg_slice keep(struct hg_session_message *m, struct hg_slice in)
{
	uint8_t *to = m->bytes + m->used;

	if (in.len > sizeof(m->bytes) - m->used)
		return hg_slice_of(NULL, 0);
	if (in.len)
		memcpy(to, in.ptr, in.len);
	m->used += in.len;
	return hg_slice_of(to, in.len);
}

/* Reports come first and get at most half, so that neither kind starves the other. */
static int take_report(void *ctx, const struct hg_journal_entry *e)
{
	struct hg_session_message *m = ctx;
	struct hg_wire_request *r = &m->request;
	struct hg_wire_report report = {
		.seq = e->seq,
		.state = e->state,
		.exit_status = e->exit_status,
		.output = keep(m, e->output),
		.detail = keep(m, e->detail),
	};
	size_t size = hg_wire_report_size(&report);

	if (!report.output.ptr || !report.detail.ptr || r->n_reports == HG_WIRE_REPORTS_MAX ||
	    m->spent + size > HG_WIRE_BUDGET / 2) {
		m->cut = true;
		return 1;
	}
	m->spent += size;
	m->told[r->n_reports] = (struct hg_store_told){ e->seq, e->state };
	m->reports[r->n_reports++] = report;
	return 0;
}

static int take_change(void *ctx, const struct hg_property *p)
{
	struct hg_session_message *m = ctx;
	struct hg_wire_request *r = &m->request;
	struct hg_wire_change change = {
		.seq = p->seq,
		.name = keep(m, p->name),
		.value = keep(m, p->value),
		.time_ms = p->time_ms,
	};
	size_t size = hg_wire_change_size(&change);

	if (!change.name.ptr || !change.value.ptr || r->n_changes == HG_WIRE_CHANGES_MAX ||
	    m->spent + size > HG_WIRE_BUDGET) {
		m->cut = true;
		return 1;
	}
	m->spent += size;
	m->changes[r->n_changes++] = change;
	return 0;
}

int hg_session_gather(struct hg_agent *agent, struct hg_session_message *m, uint64_t session,
		      uint32_t round)
{
	const struct hg_store_cursors *c = hg_store_cursors(agent->store);
	int ret;

	m->spent = m->used = 0;
	m->cut = false;
	m->request = (struct hg_wire_request){
		.uid = hg_slice_str(agent->uid),
		.epoch = hg_slice_of(c->epoch, HG_EPOCH_LEN),
		.session = session,
		.round = round,
		.flags = c->mirror_known ? 0 : HG_REQUEST_FULL,
		.mirror_epoch = hg_slice_of(c->mirror_epoch, c->mirror_known ? HG_EPOCH_LEN : 0),
		.mirror_cursor = c->mirror_cursor,
		.command_cursor = c->command_cursor,
		.time_ms = hg_now_ms(),
		.changes = m->changes,
		.reports = m->reports,
	};
	ret = hg_store_reports(agent->store, take_report, m);
	if (!ret)
		ret = hg_store_changes(agent->store, c->change_acked, take_change, m);
	return ret;
}
