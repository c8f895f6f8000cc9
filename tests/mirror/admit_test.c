// SPDX-License-Identifier: MIT
/* Who may begin a handshake: how many wait, in which order, and who is not begun any more. */
#include "../../mirror/admit.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"

#define CROWD (HG_ADMIT_LEAST + 100) /* fits into the backlog, too */
#define LATE_MS 300
#define SLOW_RATE 52 /* HG_ADMIT_LEAST in 10 s, and a few */

struct world {
	struct event_base *base;
	struct hg_admit *admit;
	struct hg_pace pace;
	atomic_size_t open;
	struct sockaddr_in at;
	int listener, devices[CROWD];
	in_port_t begun[CROWD]; /* of the devices */
	size_t n_begun;
	bool may;
};

static void on_begin(void *ctx, int fd, const struct hg_net_addr *peer,
		     const struct timespec *accepted)
{
	struct world *w = ctx;

	if (w->n_begun < CROWD)
		w->begun[w->n_begun] = ((const struct sockaddr_in *)&peer->storage)->sin_port;
	w->n_begun++;
	close(fd);
	atomic_fetch_sub(&w->open, 1);
}

static bool may_begin(void *ctx)
{
	const struct world *w = ctx;

	return w->may;
}

static void turn(struct world *w, unsigned int ms)
{
	event_base_loopexit(w->base, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
	event_base_dispatch(w->base);
}

/* Until so many wait or have begun, or 5 s are over. */
static size_t turn_until(struct world *w, size_t want, bool begun)
{
	size_t n = 0;

	for (int i = 0; i < 100; i++) {
		turn(w, 50);
		n = begun ? w->n_begun : hg_admit_waiting(w->admit);
		if (n >= want)
			break;
	}
	return n;
}

static int dial(const struct world *w)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&w->at, sizeof(w->at)) ||
	    write(fd, "hello", 5) != 5) {
		perror("# a device");
		exit(1);
	}
	return fd;
}

static void begin(struct world *w, double rate)
{
	struct hg_admit_options o = { .open = &w->open,
				      .open_max = 4 * CROWD,
				      .silence_ms = 20000,
				      .late_ms = rate > 0 ? 15000 : LATE_MS,
				      .pace = &w->pace,
				      .may_begin = may_begin,
				      .begin = on_begin,
				      .ctx = w };
	struct event_config *c = event_config_new();
	socklen_t len = sizeof(w->at);
	char err[128];

	*w = (struct world){ .pace.rate = rate };
	w->base = event_base_new_with_config(c);
	event_config_free(c);
	event_base_priority_init(w->base, HG_LOOP_PRIORITIES);
	o.fd = w->listener = hg_net_listen("127.0.0.1:0", err, sizeof(err));
	getsockname(w->listener, (struct sockaddr *)&w->at, &len);
	w->admit = hg_admit_new(w->base, &o);
	for (int i = 0; i < CROWD; i++)
		w->devices[i] = -1;
}

static void end(struct world *w)
{
	hg_admit_free(w->admit);
	is_int(atomic_load(&w->open), 0, "none is left open");
	for (int i = 0; i < CROWD; i++)
		if (w->devices[i] >= 0)
			close(w->devices[i]);
	close(w->listener);
	event_base_free(w->base);
}

static in_port_t port_of(int fd)
{
	struct sockaddr_in own = { 0 };
	socklen_t len = sizeof(own);

	getsockname(fd, (struct sockaddr *)&own, &len);
	return own.sin_port;
}

static void order(void)
{
	struct world w;
	bool same = true;

	begin(&w, 1000);
	for (int i = 0; i < 10; i++) {
		w.devices[i] = dial(&w);
		turn_until(&w, i + 1, false);
	}
	is_int(hg_admit_waiting(w.admit), 10, "who may not begin waits");
	turn(&w, 150);
	is_int(w.n_begun, 0, "as long as it lasts");
	close(w.devices[4]);
	w.devices[4] = -1;
	w.may = true;
	hg_admit_go(w.admit);
	is_int(turn_until(&w, 9, true), 9, "then all begin, but who has closed meanwhile");
	for (int i = 0, at = 0; i < 10; i++)
		same &= i == 4 || w.begun[at++] == port_of(w.devices[i]);
	ok(same, "the oldest first");
	end(&w);
}

/* Two bursts of accept() may go over it: their first bytes are looked at later. */
static bool is_crowd(struct world *w)
{
	size_t n;

	turn_until(w, HG_ADMIT_LEAST, false);
	turn(w, 250); /* more than the tick that would take more */
	n = hg_admit_waiting(w->admit);
	printf("# %zu wait\n", n);
	return n >= HG_ADMIT_LEAST && n <= HG_ADMIT_LEAST + 64;
}

static void crowd(void)
{
	struct world w;

	begin(&w, 0);
	for (int i = 0; i < CROWD; i++)
		w.devices[i] = dial(&w);
	ok(is_crowd(&w), "while no rate is known only so many are taken");
	turn(&w, LATE_MS);
	w.may = true;
	turn(&w, 300);
	ok(!w.n_begun, "who has waited for too long is not begun, in the backlog neither");
	end(&w);
	begin(&w, CROWD);
	for (int i = 0; i < CROWD; i++)
		w.devices[i] = dial(&w);
	is_int(turn_until(&w, CROWD, false), CROWD, "as many as the rate serves in time are taken");
	end(&w);
	begin(&w, SLOW_RATE);
	for (int i = 0; i < CROWD; i++)
		w.devices[i] = dial(&w);
	ok(is_crowd(&w), "and not more");
	w.may = true;
	hg_admit_go(w.admit);
	is_int(turn_until(&w, CROWD, true), CROWD, "they come from the backlog when there is room");
	end(&w);
}

int main(void)
{
	struct rlimit files = { 0 };

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	order();
	crowd();
	return tap_done();
}
