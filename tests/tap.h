/* SPDX-License-Identifier: MIT */
/*
 * TAP for C tests: ok() and is_*() print one line each and count; `return tap_done();`
 * ends main(). A failed line says where and, for the is_ forms, what was found.
 */
#ifndef HG_TESTS_TAP_H
#define HG_TESTS_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5), unused)) static int tap_ok(int good, const char *file,
								int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (!good) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return good;
}

__attribute__((unused)) static int tap_is_int(long long got, long long want, const char *file,
					      int line, const char *name)
{
	if (!tap_ok(got == want, file, line, "%s", name))
		printf("# got %lld, want %lld\n", got, want);
	return got == want;
}

__attribute__((unused)) static int tap_is_str(const char *got, const char *want, const char *file,
					      int line, const char *name)
{
	int good = got && want ? !strcmp(got, want) : got == want;

	if (!tap_ok(good, file, line, "%s", name))
		printf("# got '%s', want '%s'\n", got ? got : "(null)", want ? want : "(null)");
	return good;
}

#define ok(good, ...) tap_ok(!!(good), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, name) tap_is_int(got, want, __FILE__, __LINE__, name)
#define is_str(got, want, name) tap_is_str(got, want, __FILE__, __LINE__, name)

__attribute__((unused)) static void tap_skip(const char *name, const char *reason)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, name, reason);
}

/* Returns the exit status of main(). */
__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
