/* SPDX-License-Identifier: MIT */
/*
 * What a simulated device says and does with what it hears: sections 5 and 6 of
 * docs/sync-protocol.md, on its record. Its properties are p0, p1, ...; change number N gives
 * property p((N - 1) mod properties) the value N, so nothing but the number has to be kept; with
 * state->text N is written as text of so many digits.
 * A command is reported as done as soon as it is journalled: nothing is executed.
 */
#ifndef TESTS_LOAD_EXCHANGE_H
#define TESTS_LOAD_EXCHANGE_H

#include "state.h"

struct load_exchange {
	const struct load_state *state;
	struct load_record *record;
	uint32_t device, round;
	uint32_t changes, commands; /* acknowledged; taken */
	uint32_t status, interval_ms;
	uint8_t told; /* reports in the request that is under way */
	uint64_t acked_before;
};

enum load_answer { LOAD_ANSWER_MORE, LOAD_ANSWER_LEVEL, LOAD_ANSWER_STATUS, LOAD_ANSWER_BAD };

/* Takes the next session number. */
void load_exchange_begin(struct load_exchange *x, const struct load_state *s, uint32_t device);

/* True if the first request says nothing new: it may be early data. */
bool load_exchange_is_idle(const struct load_exchange *x);

/* The next request. Returns the frame's length or -errno. */
long load_exchange_request(struct load_exchange *x, void *buf, size_t size);

/* The answer, without its length; text says what is wrong. */
enum load_answer load_exchange_take(struct load_exchange *x, struct hg_slice in, char *text,
				    size_t size);

/* True if the mirror has all that the device has. */
bool load_record_level(const struct load_record *r);

#endif
