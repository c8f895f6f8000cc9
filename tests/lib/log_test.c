/* SPDX-License-Identifier: MIT */
/* What log lines look like where they arrive, and that strangers' text cannot forge any. */
#include "../../lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../tap.h"

static int fd; /* a file in place of stderr */
static char text[8192];

/* What was logged since the last call. */
static const char *logged(void)
{
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = '\0';
	if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET))
		return NULL;
	return text;
}

/* A line without its time. */
static const char *tail(void)
{
	const char *line = logged(), *space = strchr(line, ' ');

	return space ? space + 1 : line;
}

static void test_plain(void)
{
	char want[256];
	int pid = (int)getpid();

	hg_log_init("test", HG_LOG_INFO, 0);
	hg_info("sync: %s: session %d", "cam-1", 7);
	ok(strlen(logged()) > 25 && text[4] == '-' && text[10] == 'T' && text[23] == 'Z',
	   "a line begins with the time");
	hg_info("sync: ended");
	snprintf(want, sizeof(want), "test[%d]: sync: ended\n", pid);
	is_str(tail(), want, "then name and process");
	hg_error("sync: failed");
	snprintf(want, sizeof(want), "test[%d]: error: sync: failed\n", pid);
	is_str(tail(), want, "an error says so");
	hg_debug("not seen");
	is_str(logged(), "", "what is below the level is not there");
	hg_log_set_level(HG_LOG_DEBUG);
	hg_debug("seen");
	ok(strstr(logged(), "seen\n"), "until the level is changed");
	errno = ENOSPC;
	hg_info("x");
	is_int(errno, ENOSPC, "errno survives");
	logged();
}

static void test_strangers(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a\nERROR: forged", "a\\x0aERROR: forged" },
		{ "\x1b[2Jgone", "\\x1b[2Jgone" },
		{ "tab\there", "tab\\x09here" },
		{ "\x7f", "\\x7f" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "c1 \xc2\x9b"
		  "2J",
		  "c1 \\xc2\\x9b2J" },
		{ "raw \x9b"
		  "2J",
		  "raw \\x9b"
		  "2J" },
		{ "cut \xc3", "cut \\xc3" },
	};
	char want[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hg_info("%s", cases[i].in);
		snprintf(want, sizeof(want), "%s\n", cases[i].out);
		is_str(strchr(tail(), ' ') + 1, want, "made safe");
	}
}

static void test_long(void)
{
	char *in = malloc(5000);

	memset(in, 'x', 4999);
	in[4999] = '\0';
	hg_info("%s", in);
	is_int((long long)strlen(logged()), 1024, "a long line is cut, with its newline");
	ok(text[1023] == '\n' && text[1022] == 'x', "at its end");
	memset(in, '\x1b', 4999);
	hg_info("%s", in);
	ok(strlen(logged()) <= 1024 && strstr(text, "\\x1b\n"), "never inside an escape");
	for (size_t i = 0; i < 4998; i += 3)
		memcpy(in + i, "\xe6\xb0\xb4", 3);
	in[4998] = '\0';
	hg_info("%s", in);
	logged();
	ok(strlen(text) <= 1024 && !memcmp(text + strlen(text) - 4, "\xe6\xb0\xb4\n", 4),
	   "nor inside a character");
	free(in);
}

static void test_journal(void)
{
	char stream[64];
	struct stat st;

	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	hg_log_init("test", HG_LOG_INFO, 0);
	hg_warn("disk is full");
	is_str(logged(), "<4>disk is full\n", "the journal gets level and text");
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	hg_log_init("test", HG_LOG_INFO, 0);
	hg_warn("disk is full");
	ok(strstr(logged(), "warning: disk is full\n"),
	   "a stderr that was redirected is not the journal");
}

int main(void)
{
	char path[] = "/tmp/hg-log.XXXXXX";
	int real_stderr = dup(STDERR_FILENO);

	unsetenv("JOURNAL_STREAM");
	fd = mkstemp(path);
	unlink(path);
	if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) || dup2(fd, STDERR_FILENO) < 0)
		return 1;
	test_plain();
	test_strangers();
	test_long();
	test_journal();
	dup2(real_stderr, STDERR_FILENO);
	return tap_done();
}
