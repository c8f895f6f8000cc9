// SPDX-License-Identifier: MIT
/*
 * The process of a command handler. It gets: its input as a file (so that it can leave it unread),
 * pipes for output and errors, a clean environment, no other descriptor, its own process group,
 * and a signal should the agent die. It ends when the process ends: what its children still write
 * is not waited for, and they are killed with the group.
 */
#include "handler.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Reads that empty a full pipe (64 KiB) at the end; whoever still writes then is not heard. */
#define DRAIN_MAX (65536 / HG_HANDLER_DETAIL_MAX)

struct hg_handler {
	struct hg_handler_options o;
	pid_t pid;
	int pidfd, out, errors;
	struct event *exited, *readable, *complains, *timer;
	char *output; /* grows up to o.output_max */
	size_t output_len, output_size;
	char tail[HG_HANDLER_DETAIL_MAX]; /* newest bytes of standard error */
	size_t tail_len;
	char killed[64]; /* why, if we did */
};

bool hg_handler_name_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= HG_HANDLER_NAME_MAX && *name != '.' &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
		       n;
}

/* Can only root and we change it? */
static bool is_safe(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

int hg_handler_check(const char *dir, const char *name, char *err, size_t err_size)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!hg_handler_name_valid(name) || (lstat(path, &st) && errno == ENOENT)) {
		snprintf(err, err_size, "no handler %.64s", name);
		return -ENOENT;
	}
	if (stat(dir, &st) || !is_safe(&st)) {
		snprintf(err, err_size, "handler directory can be changed by others; chmod go-w");
		return -EACCES;
	}
	if (lstat(path, &st) || !S_ISREG(st.st_mode)) {
		snprintf(err, err_size, "handler %s is not a regular file", name);
		return -EACCES;
	}
	if (!is_safe(&st)) {
		snprintf(err, err_size, "handler %s can be changed by others; chmod go-w", name);
		return -EACCES;
	}
	if (access(path, X_OK)) {
		snprintf(err, err_size, "handler %s is not executable; chmod +x", name);
		return -EACCES;
	}
	return 0;
}

/* Input as a file of its own: never blocks, whatever the handler does with it. */
static int input_fd(const char *text)
{
	int fd = memfd_create("input", MFD_CLOEXEC);
	size_t len = strlen(text), done = 0;
	ssize_t n;

	while (fd >= 0 && done < len) {
		n = write(fd, text + done, len - done);
		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += n;
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

static void limit(int resource, rlim_t value)
{
	struct rlimit r = { value, value };

	setrlimit(resource, &r);
}

/* In the child; only async-signal-safe calls. */
static void child(const struct hg_handler_options *o, const char *path, char *const *argv, int in,
		  int out, int errors, pid_t parent)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	static const char failed[] = "cannot be executed (is its interpreter there?)\n";
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		_exit(127);
	syscall(SYS_close_range, 3u, ~0u, 0u);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_DATA, o->memory_max);
	limit(RLIMIT_NOFILE, o->files_max);
	umask(077);
	if (chdir("/"))
		_exit(127);
	execve(path, argv, (char *const *)o->env);
	if (write(2, failed, sizeof(failed) - 1) < 0)
		_exit(127);
	_exit(127);
}

void hg_handler_free(struct hg_handler *h)
{
	struct event *events[] = { h->exited, h->readable, h->complains, h->timer };
	int fds[] = { h->pidfd, h->out, h->errors };

	if (h->pid > 0) {
		kill(-h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i])
			event_free(events[i]);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(h->output);
	free(h);
}

/* SIGTERM first; kill_after later SIGKILL. */
static void stop(struct hg_handler *h, const char *why)
{
	struct timeval grace = { h->o.kill_after_ms / 1000, h->o.kill_after_ms % 1000 * 1000 };

	if (h->killed[0])
		return;
	snprintf(h->killed, sizeof(h->killed), "%s", why);
	if (!h->pid) /* it has ended already; group 0 would be our own */
		return;
	kill(-h->pid, SIGTERM);
	event_add(h->timer, &grace);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_handler *h = ctx;

	if (h->killed[0])
		kill(-h->pid, SIGKILL);
	else
		stop(h, "killed: over the time limit");
}

/* Keeps what fits. False: there is no room for all of it. */
static bool keep_output(struct hg_handler *h, const char *more, size_t n)
{
	size_t room = h->o.output_max - h->output_len,
	       size = h->output_size ? h->output_size : 4096;
	size_t fits = n < room ? n : room;
	char *grown;

	while (size < h->output_len + fits)
		size *= 2;
	if (size > h->output_size) {
		grown = realloc(h->output, size);
		if (!grown)
			return false;
		h->output = grown;
		h->output_size = size;
	}
	memcpy(h->output + h->output_len, more, fits);
	h->output_len += fits;
	return fits == n;
}

static void on_output(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_handler *h = ctx;
	char more[4096];
	ssize_t n = 0;

	for (int i = 0; i < DRAIN_MAX && (n = read(h->out, more, sizeof(more))) > 0; i++) {
		if (!keep_output(h, more, (size_t)n))
			stop(h, "killed: more output than [device] object_max");
		if (what)
			return; /* the loop's other events have their turn */
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		event_del(h->readable);
}

static void on_errors(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_handler *h = ctx;
	char more[HG_HANDLER_DETAIL_MAX];
	ssize_t n = 0;

	for (int i = 0; i < DRAIN_MAX && (n = read(h->errors, more, sizeof(more))) > 0; i++) {
		size_t keep = h->tail_len + n > sizeof(h->tail) ? sizeof(h->tail) - n : h->tail_len;

		memmove(h->tail, h->tail + h->tail_len - keep, keep);
		memcpy(h->tail + keep, more, n);
		h->tail_len = keep + n;
		if (what)
			return;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN))
		event_del(h->complains);
}

/* Printable ASCII and spaces only: it goes into logs, JSON and terminals. */
static void clean(const char *in, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		unsigned char c = in[i];

		if (c == '\n' || c == '\t' || c == '\r')
			c = ' ';
		if (c == ' ' && (!n || out[n - 1] == ' '))
			continue;
		out[n++] = c < ' ' || c > '~' ? '?' : c;
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static void on_exit_event(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_handler *h = ctx;
	char detail[HG_HANDLER_DETAIL_MAX + 1];
	struct hg_handler_result r = { .detail = detail };
	siginfo_t info = { 0 };

	kill(-h->pid, SIGKILL); /* what it left behind; its own id is still ours */
	if (waitid(P_PID, h->pid, &info, WEXITED))
		return;
	h->pid = 0;
	on_output(h->out, 0, h);
	on_errors(h->errors, 0, h);
	r.exit_status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	r.killed = h->killed[0];
	r.output = h->output;
	r.output_len = h->output_len;
	if (r.killed)
		snprintf(detail, sizeof(detail), "%s", h->killed);
	else
		clean(h->tail, h->tail_len, detail, sizeof(detail));
	h->o.done(h->o.ctx, &r);
	hg_handler_free(h);
}

static int add_events(struct hg_handler *h)
{
	struct timeval t = { h->o.time_limit_ms / 1000, h->o.time_limit_ms % 1000 * 1000 };
	short read = EV_READ | EV_PERSIST;

	h->exited = event_new(h->o.base, h->pidfd, EV_READ, on_exit_event, h);
	h->readable = event_new(h->o.base, h->out, read, on_output, h);
	h->complains = event_new(h->o.base, h->errors, read, on_errors, h);
	h->timer = event_new(h->o.base, -1, 0, on_timer, h);
	if (!h->exited || !h->readable || !h->complains || !h->timer)
		return -ENOMEM;
	event_add(h->exited, NULL);
	event_add(h->readable, NULL);
	event_add(h->complains, NULL);
	event_add(h->timer, &t);
	return 0;
}

static int spawn(struct hg_handler *h, const char *path)
{
	char *argv[] = { (char *)path, (char *)h->o.argument, NULL };
	int in = input_fd(h->o.input), out[2] = { -1, -1 }, errors[2] = { -1, -1 }, ret = 0;
	pid_t parent = getpid();

	if (in < 0 || pipe2(out, O_CLOEXEC) || pipe2(errors, O_CLOEXEC)) {
		ret = -errno;
		goto close;
	}
	h->pid = fork();
	if (!h->pid)
		child(&h->o, path, argv, in, out[1], errors[1], parent);
	if (h->pid < 0) {
		ret = -errno;
		goto close;
	}
	setpgid(h->pid, h->pid);
	h->pidfd = syscall(SYS_pidfd_open, h->pid, 0);
	if (h->pidfd < 0)
		ret = -errno;
	h->out = out[0];
	h->errors = errors[0];
	fcntl(h->out, F_SETFL, O_NONBLOCK);
	fcntl(h->errors, F_SETFL, O_NONBLOCK);
	out[0] = errors[0] = -1;
close:
	for (int i = 0; i < 2; i++) {
		if (out[i] >= 0)
			close(out[i]);
		if (errors[i] >= 0)
			close(errors[i]);
	}
	if (in >= 0)
		close(in);
	return ret;
}

int hg_handler_start(const struct hg_handler_options *options, struct hg_handler **handler,
		     char *err, size_t err_size)
{
	struct hg_handler *h;
	char path[4200];
	int ret;

	ret = hg_handler_check(options->dir, options->name, err, err_size);
	if (ret)
		return ret;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->o = *options;
	h->pidfd = h->out = h->errors = -1;
	snprintf(path, sizeof(path), "%s/%s", options->dir, options->name);
	ret = spawn(h, path);
	if (!ret)
		ret = add_events(h);
	if (ret) {
		snprintf(err, err_size, "cannot start handler: %s", strerror(-ret));
		hg_handler_free(h);
		return ret;
	}
	*handler = h;
	return 0;
}
