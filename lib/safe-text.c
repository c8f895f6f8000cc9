/* SPDX-License-Identifier: MIT */
/* Text that no terminal takes for a command. Called by log.c and pg_print.c. */
#include "safe-text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

void hg_safe_text(const char *text, char *out, size_t size)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text), n;

	while (left) {
		bool control;

		n = hg_utf8_next(p, left);
		control = !n || p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
		if (!n)
			n = 1;
		if (size <= (control ? 4 * n : n))
			break;
		for (size_t i = 0; i < n; i++) {
			int wrote = 1;

			if (control)
				wrote = snprintf(out, size, "\\x%02x", p[i]);
			else
				*out = (char)p[i];
			out += wrote;
			size -= (size_t)wrote;
		}
		p += n;
		left -= n;
	}
	*out = '\0';
}
