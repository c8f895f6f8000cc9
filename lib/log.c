/* SPDX-License-Identifier: MIT */
/*
 * The log of a daemon: where its lines go and how they look. Each line leaves in one write(2), so
 * lines of several processes on one terminal or pipe do not mix. Text of strangers is made safe
 * here, not where it comes in. errno survives.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "safe-text.h"

#define LINE_MAX_BYTES 1023

static const char *log_name = "heliograph";
static int log_level = HG_LOG_INFO;
static enum { TO_STDERR, TO_JOURNAL, TO_SYSLOG } log_target;

/* systemd says in JOURNAL_STREAM which device and inode its journal's pipe is. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void hg_log_init(const char *name, int level, int to_syslog)
{
	log_name = name;
	log_level = level;
	log_target = to_syslog ? TO_SYSLOG : stderr_is_journal() ? TO_JOURNAL : TO_STDERR;
	if (to_syslog)
		openlog(name, LOG_PID, LOG_DAEMON);
}

void hg_log_set_level(int level)
{
	log_level = level;
}

static const char *level_name(int level)
{
	switch (level) {
	case HG_LOG_ERROR:
		return "error: ";
	case HG_LOG_WARN:
		return "warning: ";
	default:
		return "";
	}
}

/* "2026-11-21T22:22:00.123Z name[pid]: level: " */
static int put_head(char *line, size_t size, int level)
{
	struct timespec now;
	struct tm tm;

	if (log_target == TO_JOURNAL)
		return snprintf(line, size, "<%d>", level);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	return snprintf(line, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s[%d]: %s",
			tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec, now.tv_nsec / 1000000, log_name, (int)getpid(),
			level_name(level));
}

void hg_log(int level, const char *fmt, ...)
{
	char raw[LINE_MAX_BYTES + 1], line[LINE_MAX_BYTES + 2]; /* NUL; newline and NUL */
	int saved = errno;
	size_t len = 0;
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	if (log_target != TO_SYSLOG)
		len = (size_t)put_head(line, LINE_MAX_BYTES / 2, level);
	if (len > LINE_MAX_BYTES / 2 - 1)
		len = LINE_MAX_BYTES / 2 - 1;
	hg_safe_text(raw, line + len, LINE_MAX_BYTES + 1 - len);
	if (log_target == TO_SYSLOG) {
		syslog(level, "%s", line);
	} else {
		strcat(line, "\n");
		if (write(STDERR_FILENO, line, strlen(line)) < 0)
			errno = saved; /* nowhere left to say so */
	}
	errno = saved;
}
