/* SPDX-License-Identifier: MIT */
/*
 * The daemons' log: one line per event, `subject: event: peer: reason`. Library code does not
 * log; the function that gives up does, once. Goes to stderr with a systemd level prefix
 * ("<4>") when stderr is the journal, plain with time otherwise, or to syslog(3).
 */
#ifndef HG_LIB_LOG_H
#define HG_LIB_LOG_H

enum hg_log_level { HG_LOG_ERROR = 3, HG_LOG_WARN = 4, HG_LOG_INFO = 6, HG_LOG_DEBUG = 7 };

/* Called once, before the first line. `name` must stay; level is an enum hg_log_level. */
void hg_log_init(const char *name, int level, int to_syslog);
void hg_log_set_level(int level);

/* At most 1023 bytes; control characters of untrusted text are printed as \xNN. */
void hg_log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define hg_error(...) hg_log(HG_LOG_ERROR, __VA_ARGS__)
#define hg_warn(...) hg_log(HG_LOG_WARN, __VA_ARGS__)
#define hg_info(...) hg_log(HG_LOG_INFO, __VA_ARGS__)
#define hg_debug(...) hg_log(HG_LOG_DEBUG, __VA_ARGS__)

#endif
