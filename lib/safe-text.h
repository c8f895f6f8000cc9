/* SPDX-License-Identifier: MIT */
/* Text of strangers on its way to a terminal: log lines and the tables of subcommands. */
#ifndef HG_LIB_SAFE_TEXT_H
#define HG_LIB_SAFE_TEXT_H

#include <stddef.h>

/*
 * Copies text to out[size], size > 0. What a terminal could take for a command (C0 and C1 controls,
 * DEL) and bytes that are no UTF-8 become \xNN. Ends in time for the NUL, never inside a character;
 * 4 * strlen(text) + 1 bytes hold any text whole.
 */
void hg_safe_text(const char *text, char *out, size_t size);

#endif
