// SPDX-License-Identifier: MIT
/* Requests from a record, answers into it. What must be durable first is written first. */
#include "exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <openssl/rand.h>
#include "../../lib/cbor.h"

/* Large; one thread, and contents are gone when the functions return. */
static struct hg_wire_room room;
static char names[HG_WIRE_CHANGES_MAX][16];
static uint8_t values[HG_WIRE_CHANGES_MAX][LOAD_TEXT_MAX + 3];

/* The compiler may not move a store of the record over this: a kill may come at any place. */
static void written(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool load_record_level(const struct load_record *r)
{
	return r->known && r->acked == r->seq && !r->n_journal;
}

void load_exchange_begin(struct load_exchange *x, const struct load_state *s, uint32_t device)
{
	*x = (struct load_exchange){ .state = s, .record = &s->records[device], .device = device };
	x->record->session++;
	written();
}

static size_t put_value(uint8_t *to, uint64_t seq, uint32_t text)
{
	struct hg_cbor_out o = hg_cbor_out_of(to, sizeof(values[0]));
	char digits[LOAD_TEXT_MAX + 1];

	if (text) {
		snprintf(digits, sizeof(digits), "%0*llu", (int)text, (unsigned long long)seq);
		hg_cbor_put_text(&o, hg_slice_str(digits));
	} else {
		hg_cbor_put_uint(&o, seq);
	}
	return o.len;
}

/* Of a property only the newest change is sent. */
static size_t put_changes(const struct load_exchange *x)
{
	const struct load_record *r = x->record;
	uint32_t properties = x->state->head->properties;
	uint64_t seq = r->seq > properties ? r->seq - properties : 0, now = now_ms();
	size_t n = 0;

	if (seq < r->acked)
		seq = r->acked;
	for (; seq < r->seq && n < HG_WIRE_CHANGES_MAX; n++) {
		size_t len = put_value(values[n], ++seq, x->state->text);

		snprintf(names[n], sizeof(names[n]), "p%u", (uint32_t)((seq - 1) % properties));
		room.changes[n] = (struct hg_wire_change){ .seq = seq,
							   .name = hg_slice_str(names[n]),
							   .value = hg_slice_of(values[n], len),
							   .time_ms = now };
	}
	return n;
}

bool load_exchange_is_idle(const struct load_exchange *x)
{
	const struct load_record *r = x->record;

	return r->known && r->psk.identity_len && !r->n_journal && load_record_level(r);
}

long load_exchange_request(struct load_exchange *x, void *buf, size_t size)
{
	struct load_record *r = x->record;
	char uid[LOAD_UID_TEXT];
	struct hg_wire_request q = {
		.epoch = hg_slice_of(r->epoch, HG_EPOCH_LEN),
		.session = r->session,
		.round = x->round,
		.mirror_epoch = hg_slice_of(r->mirror_epoch, r->known ? HG_EPOCH_LEN : 0),
		.mirror_cursor = r->mirror_cursor,
		.command_cursor = r->command_cursor,
		.time_ms = now_ms(),
		.changes = room.changes,
		.reports = room.reports,
	};
	long len;

	if (x->state->want_psk && !r->psk.identity_len)
		q.flags |= HG_REQUEST_KEY;
	load_state_uid(x->state, x->device, uid);
	q.uid = hg_slice_str(uid);
	q.n_changes = put_changes(x);
	for (; q.n_reports < r->n_journal; q.n_reports++)
		room.reports[q.n_reports] = (struct hg_wire_report){ .seq = r->journal[q.n_reports],
								     .state = HG_COMMAND_DONE };
	len = hg_wire_put_request(&q, buf, size);
	if (len > 0) {
		x->round++;
		x->told = q.n_reports;
		x->acked_before = r->acked;
	}
	return len;
}

/* The mirror's numbering is new, or it is the first one seen. */
static void take_epoch(struct load_record *r, struct hg_slice epoch)
{
	if (r->known && hg_slice_eq(epoch, hg_slice_of(r->mirror_epoch, HG_EPOCH_LEN)))
		return;
	if (r->known) {
		r->mirror_cursor = r->command_cursor = r->acked = 0;
		r->n_journal = 0;
		r->known = 0;
		written();
	}
	memcpy(r->mirror_epoch, epoch.ptr, HG_EPOCH_LEN);
	written();
	r->known = 1;
	written();
}

/* Commands as far as the journal has room; what was told is out of it. Returns what was taken. */
static size_t take_commands(struct load_exchange *x, const struct hg_wire_response *a)
{
	struct load_record *r = x->record;
	size_t taken = 0;

	if (x->told && r->n_journal) {
		memmove(r->journal, r->journal + x->told,
			(r->n_journal - x->told) * sizeof(r->journal[0]));
		r->n_journal -= x->told;
	}
	for (size_t i = 0; i < a->n_commands && r->n_journal < LOAD_JOURNAL_MAX; i++) {
		if (a->commands[i].seq <= r->command_cursor)
			continue;
		r->journal[r->n_journal] = a->commands[i].seq;
		written();
		r->n_journal++;
		written();
		r->command_cursor = a->commands[i].seq;
		taken++;
	}
	return taken;
}

static enum load_answer bad(char *text, size_t size, const char *what)
{
	snprintf(text, size, "%s", what);
	return LOAD_ANSWER_BAD;
}

enum load_answer load_exchange_take(struct load_exchange *x, struct hg_slice in, char *text,
				    size_t size)
{
	struct load_record *r = x->record;
	struct hg_wire_response a;
	size_t at = 0, commands;

	if (hg_wire_get_response(in, &room, &a, &at)) {
		snprintf(text, size, "answer is malformed at byte %zu", at);
		return LOAD_ANSWER_BAD;
	}
	x->status = a.status;
	x->interval_ms = a.interval_ms;
	if (a.status != HG_WIRE_OK) {
		const char *name = hg_wire_status_name(a.status);

		snprintf(text, size, "%s: %.*s", name ? name : "refused", (int)a.detail.len,
			 (const char *)a.detail.ptr);
		return LOAD_ANSWER_STATUS;
	}
	if (a.detail.len) /* a change was refused: model and generator are not of one kind */
		return bad(text, size, "a change was refused; is the model that of --print-model?");
	take_epoch(r, a.mirror_epoch);
	if (a.psk.identity.len)
		load_record_psk(r, &a.psk);
	if (a.device_cursor > r->seq && !(a.flags & HG_RESPONSE_FULL)) {
		if (RAND_bytes(r->epoch, HG_EPOCH_LEN) == 1)
			r->session = r->acked = 0;
		return bad(text, size, "state is older than the mirror's copy; a new epoch begins");
	}
	r->acked = a.flags & HG_RESPONSE_FULL ? 0 : a.device_cursor;
	if (r->acked > x->acked_before)
		x->changes += r->acked - x->acked_before;
	for (size_t i = 0; i < a.n_changes; i++)
		if (a.changes[i].seq > r->mirror_cursor)
			r->mirror_cursor = a.changes[i].seq;
	commands = take_commands(x, &a);
	x->commands += commands;
	if (a.flags || a.n_changes || commands || !load_record_level(r) ||
	    x->round < x->state->rounds)
		return LOAD_ANSWER_MORE;
	return LOAD_ANSWER_LEVEL;
}
