// SPDX-License-Identifier: MIT
/*
 * What a request says: cursors, changes of ours that the mirror does not hold, ends of commands
 * that it has not been told, as much of each as one message takes. Values are copied out of the
 * store, for the store is written to before the answer comes.
 *
 * Of a value that is too large to travel whole a part is sent, from where the mirror said in this
 * session's last response that its copy ends; so not with the first request.
 */
#include "session.h"

#include <stdio.h>
#include <string.h>
#include "agent.h"

#define PART_HEAD (HG_WIRE_NAME_MAX + HG_WIRE_DETAIL_MAX + 64) /* around the bytes of a part */
#define PART_MIN (PART_HEAD + 1024) /* smaller ones are not worth a round */

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

/* How much of a value the mirror holds. */
static uint64_t held(const struct hg_session_message *m, enum hg_wire_kind kind, uint64_t seq,
		     size_t total)
{
	for (size_t i = 0; i < m->n_held; i++)
		if (m->held[i].kind == kind && m->held[i].seq == seq && m->held[i].have < total)
			return m->held[i].have;
	return 0;
}

/* The next part of a value, at most `room` bytes of it, copied. False if there is no room. */
static bool take_part(struct hg_session_message *m, enum hg_wire_kind kind, uint64_t seq,
		      struct hg_slice value, size_t room, struct hg_wire_part *part)
{
	uint64_t from = held(m, kind, seq, value.len);
	size_t len = value.len - from;

	if (len > HG_WIRE_PART_MAX)
		len = HG_WIRE_PART_MAX;
	if (room < PART_MIN || m->spent > room - PART_MIN)
		return false;
	room -= m->spent + PART_HEAD;
	*part = (struct hg_wire_part){
		value.len, from, keep(m, hg_slice_of(value.ptr + from, len < room ? len : room))
	};
	return part->bytes.ptr;
}

/* One with a large output, and one only: it goes behind the others. */
static void take_late(struct hg_session_message *m, const struct hg_journal_entry *e)
{
	struct hg_wire_report report = { .seq = e->seq,
					 .state = e->state,
					 .exit_status = e->exit_status,
					 .detail = keep(m, e->detail) };

	m->cut = true;
	if (!m->heard || m->late.seq || !report.detail.ptr ||
	    !take_part(m, HG_WIRE_REPORT, e->seq, e->output, HG_WIRE_BUDGET / 2, &report.part))
		return;
	m->parts++;
	m->late = report;
	m->spent += hg_wire_report_size(&report);
}

/* Reports come first and get at most half, so that neither kind starves the other. */
static int take_report(void *ctx, const struct hg_journal_entry *e)
{
	struct hg_session_message *m = ctx;
	struct hg_wire_request *r = &m->request;
	struct hg_wire_report report;
	size_t size;

	if (e->output.len > HG_WIRE_VALUE_MAX) {
		take_late(m, e);
		return 0;
	}
	report = (struct hg_wire_report){
		.seq = e->seq,
		.state = e->state,
		.exit_status = e->exit_status,
		.output = keep(m, e->output),
		.detail = keep(m, e->detail),
	};
	size = hg_wire_report_size(&report);
	if (!report.output.ptr || !report.detail.ptr || r->n_reports == HG_WIRE_REPORTS_MAX - 1 ||
	    m->spent + size > HG_WIRE_BUDGET / 2) {
		m->cut = true;
		return 1;
	}
	m->spent += size;
	m->told[r->n_reports] = (struct hg_store_told){ e->seq, e->state };
	m->reports[r->n_reports++] = report;
	return 0;
}

/* Nothing may follow it: numbers are complete in their order. */
static int take_large(struct hg_session_message *m, const struct hg_property *p)
{
	struct hg_wire_change change = { .seq = p->seq,
					 .name = keep(m, p->name),
					 .time_ms = p->time_ms };

	m->cut = m->more = true;
	if (!m->heard || !change.name.ptr || m->request.n_changes == HG_WIRE_CHANGES_MAX ||
	    !take_part(m, HG_WIRE_CHANGE, p->seq, p->value, HG_WIRE_BUDGET, &change.part))
		return 1;
	m->spent += hg_wire_change_size(&change);
	m->parts++;
	m->changes[m->request.n_changes++] = change;
	m->cut = m->more = !hg_wire_part_ends(&change.part);
	return 1;
}

static int take_change(void *ctx, const struct hg_property *p)
{
	struct hg_session_message *m = ctx;
	struct hg_wire_request *r = &m->request;
	struct hg_wire_change change;
	size_t size;

	if (p->value.len > HG_WIRE_VALUE_MAX)
		return take_large(m, p);
	change = (struct hg_wire_change){
		.seq = p->seq,
		.name = keep(m, p->name),
		.value = keep(m, p->value),
		.time_ms = p->time_ms,
	};
	size = hg_wire_change_size(&change);
	if (!change.name.ptr || !change.value.ptr || r->n_changes == HG_WIRE_CHANGES_MAX ||
	    m->spent + size > HG_WIRE_BUDGET) {
		m->cut = m->more = true;
		return 1;
	}
	m->spent += size;
	m->changes[r->n_changes++] = change;
	return 0;
}

/* The last change is a part, and not the last part. */
static bool is_unfinished(const struct hg_session_message *m)
{
	size_t n = m->request.n_changes;

	return n && m->changes[n - 1].part.total && !hg_wire_part_ends(&m->changes[n - 1].part);
}

int hg_session_gather(struct hg_agent *agent, struct hg_session_message *m, uint64_t session,
		      uint32_t round)
{
	const struct hg_store_cursors *c = hg_store_cursors(agent->store);
	int ret;

	m->spent = m->used = 0;
	m->cut = false;
	m->late.seq = 0;
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
		.partials = &m->partial,
	};
	m->more = false;
	m->parts = 0;
	ret = hg_store_partial(agent->store, &m->partial);
	m->request.n_partials = ret == 1;
	if (ret >= 0)
		ret = hg_store_reports(agent->store, take_report, m);
	if (m->late.seq) {
		m->told[m->request.n_reports] = (struct hg_store_told){ m->late.seq,
									m->late.state };
		m->reports[m->request.n_reports++] = m->late;
	}
	if (!ret)
		ret = hg_store_changes(agent->store, c->change_acked, take_change, m);
	m->whole = m->request.n_changes - is_unfinished(m);
	if (m->more)
		m->request.flags |= HG_REQUEST_MORE;
	return ret;
}

size_t hg_session_answered(struct hg_session_message *m, const struct hg_wire_response *r)
{
	const struct hg_wire_report *late = &m->late;

	m->heard = true;
	m->n_held = r->n_partials;
	if (r->n_partials)
		memcpy(m->held, r->partials, r->n_partials * sizeof(*r->partials));
	if (!late->seq)
		return m->request.n_reports;
	for (size_t i = 0; i < m->n_held; i++)
		if (m->held[i].kind == HG_WIRE_REPORT && m->held[i].seq == late->seq)
			return m->request.n_reports - 1;
	return m->request.n_reports - !hg_wire_part_ends(&late->part);
}
