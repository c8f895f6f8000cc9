// SPDX-License-Identifier: MIT
/*
 * The pinned directory of the guard: what makes it outlive the process that attached it. Called by
 * guard-bpf.c around every change, with the directory locked, so that two attachers never mix.
 *
 * A directory is complete when maps/ and programs/ hold what the object has. An interrupted run
 * leaves at most NAME-next pins, which the next run sweeps away, and records whose interface is not
 * attached, which the next attach or detach puts right.
 */
#include "guard-bpf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <bpf/bpf.h>

#define NEXT "-next"
#define STATE_SIZE (HG_GUARD_INTERFACES_MAX + 1)
#define LOCK_WAIT_MS 5000 /* an attach takes well under a second, most of it in the verifier */
#define LOCK_STEP_MS 10

static const char *const subs[] = { "links", "programs", "maps" };
#define SUBS (sizeof(subs) / sizeof(subs[0]))

char *hg_pins_path(const struct hg_pins *p, char *buf, const char *sub, const char *name,
		   const char *suffix)
{
	int n = snprintf(buf, PATH_MAX, "%s/%s%s%s%s", p->dir, sub, *name ? "/" : "", name, suffix);

	if (n >= PATH_MAX) /* cannot be: dir is a quarter of it, names are kernel names */
		buf[0] = '\0';
	return buf;
}

__u64 hg_netns_self(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : st.st_ino;
}

/* On a bpffs only BPF objects can be pinned, so the record of interfaces is an array map. */
static int state_open(struct hg_pins *p, bool make, struct hg_error *e)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	char path[PATH_MAX];
	int fd;

	hg_pins_path(p, path, "state", "", "");
	fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT && make) {
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "hg_state", sizeof(__u32),
				    sizeof(struct hg_bpf_attachment), STATE_SIZE, NULL);
		if (fd < 0)
			return hg_error_set(e, -errno, "cannot make a BPF map: %s%s",
					    strerror(errno),
					    errno == EPERM
						    ? "; the guard needs CAP_BPF and CAP_NET_ADMIN"
						    : "");
		if (bpf_obj_pin(fd, path)) {
			hg_error_set(e, -errno, "cannot pin %s: %s", path, strerror(errno));
			close(fd);
			return -EIO;
		}
	}
	if (fd < 0)
		return hg_error_set(e, -errno, "cannot open %s: %s", path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &len) || info.type != BPF_MAP_TYPE_ARRAY ||
	    info.value_size != sizeof(struct hg_bpf_attachment) || info.max_entries != STATE_SIZE) {
		close(fd);
		return hg_error_set(e, -EEXIST,
				    "%s is not a guard's of this version; turn that guard off with "
				    "the program that made it",
				    path);
	}
	p->state = fd;
	return 0;
}

int hg_pins_check(const char *dir, struct hg_error *e)
{
	char parent[sizeof(((struct hg_pins *)NULL)->dir)];
	struct statfs fs;
	char *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return hg_error_set(e, -EINVAL, "%s: pin_dir must be a directory on a bpffs", dir);
	*slash = '\0';
	if (statfs(parent, &fs))
		return hg_error_set(e, -errno, "%s: %s", parent, strerror(errno));
	if ((unsigned int)fs.f_type != BPF_FS_MAGIC)
		return hg_error_set(e, -EINVAL,
				    "%s is not on a bpffs; mount one: mount -t bpf bpf %s", parent,
				    parent);
	return 0;
}

/* -EAGAIN: somebody who ends a guard removed what was just there. */
static int make_directories(struct hg_pins *p, struct hg_error *e)
{
	char path[PATH_MAX];
	int ret = hg_pins_check(p->dir, e);

	if (ret)
		return ret;
	if (!mkdir(p->dir, 0700))
		p->made = true;
	else if (errno != EEXIST)
		return hg_error_set(e, -errno, "cannot make %s: %s", p->dir, strerror(errno));
	for (size_t i = 0; i < SUBS; i++) {
		if (!mkdir(hg_pins_path(p, path, subs[i], "", ""), 0700) || errno == EEXIST)
			continue;
		if (errno == ENOENT)
			return -EAGAIN;
		return hg_error_set(e, -errno, "cannot make %s: %s", path, strerror(errno));
	}
	return 0;
}

/* Locks the directory that is there now: one that was removed while we waited does not count. */
static int lock_directory(struct hg_pins *p, struct hg_error *e)
{
	const struct timespec step = { 0, LOCK_STEP_MS * 1000000L };
	struct stat held, now;
	int fd;

	for (int waited = 0; waited < LOCK_WAIT_MS; waited += LOCK_STEP_MS) {
		fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		if (!flock(fd, LOCK_EX | LOCK_NB)) {
			if (!fstat(fd, &held) && !stat(p->dir, &now) && held.st_ino == now.st_ino) {
				p->lock = fd;
				return 0;
			}
			close(fd);
			return -EAGAIN;
		}
		close(fd);
		nanosleep(&step, NULL);
	}
	return hg_error_set(e, -EBUSY, "%s: another process has been changing the guard for %d s",
			    p->dir, LOCK_WAIT_MS / 1000);
}

/* What is left of an attacher that died before it did anything: empty directories. */
static void remove_shell(const struct hg_pins *p)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < SUBS; i++)
		rmdir(hg_pins_path(p, path, subs[i], "", ""));
	rmdir(p->dir);
}

void hg_pins_unlock(struct hg_pins *p)
{
	if (p->state >= 0)
		close(p->state);
	if (p->lock >= 0)
		close(p->lock);
	p->state = p->lock = -1;
}

/* -EAGAIN: once more, for the directory came or went meanwhile. */
static int lock_made(struct hg_pins *p, bool make, struct hg_error *e)
{
	int ret = make ? make_directories(p, e) : 0;

	if (ret)
		return ret;
	ret = lock_directory(p, e);
	if (make && ret == -ENOENT)
		return -EAGAIN;
	/* The one who held the lock may have removed some of ours: now nobody can. */
	if (make && !ret)
		ret = make_directories(p, e);
	if (ret && p->lock >= 0)
		hg_pins_unlock(p);
	return ret;
}

int hg_pins_lock(struct hg_pins *p, const char *dir, bool make, struct hg_error *e)
{
	int ret;

	*p = (struct hg_pins){ .lock = -1, .state = -1 };
	if (!*dir || strlen(dir) >= sizeof(p->dir))
		return hg_error_set(e, -ENAMETOOLONG, "pin_dir: empty or too long");
	strcpy(p->dir, dir);
	do
		ret = lock_made(p, make, e);
	while (ret == -EAGAIN);
	if (ret == -ENOENT)
		return hg_error_set(e, ret, "no guard is pinned at %s", dir);
	if (ret)
		return ret;
	ret = state_open(p, make, e);
	if (ret == -ENOENT) {
		remove_shell(p);
		hg_error_set(e, ret, "no guard is pinned at %s", dir);
	}
	if (ret)
		hg_pins_unlock(p);
	return ret;
}

static bool is_next(const char *name)
{
	size_t n = strlen(name);

	return n > strlen(NEXT) && !strcmp(name + n - strlen(NEXT), NEXT);
}

/* Calls each() for every pin below dir/sub; stops at the first failure. */
static int each_pin(const struct hg_pins *p, const char *sub,
		    int (*each)(int dir, const char *name))
{
	char path[PATH_MAX];
	struct dirent *d;
	DIR *dir = opendir(hg_pins_path(p, path, sub, "", ""));
	int ret = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!ret && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			ret = each(dirfd(dir), d->d_name);
	closedir(dir);
	return ret;
}

static int sweep_one(int dir, const char *name)
{
	if (is_next(name))
		unlinkat(dir, name, 0);
	return 0;
}

static int commit_one(int dir, const char *name)
{
	char final[NAME_MAX + 1];

	if (!is_next(name))
		return 0;
	snprintf(final, sizeof(final), "%.*s", (int)(strlen(name) - strlen(NEXT)), name);
	return renameat(dir, name, dir, final) ? -errno : 0;
}

static int remove_one(int dir, const char *name)
{
	return unlinkat(dir, name, 0) ? -errno : 0;
}

void hg_pins_sweep(const struct hg_pins *p)
{
	for (size_t i = 0; i < SUBS; i++)
		each_pin(p, subs[i], sweep_one);
}

static int loaded_write(const struct hg_pins *p, __u64 digest)
{
	const struct hg_bpf_loaded loaded = { .digest = digest, .abi = HG_GUARD_ABI };
	const __u32 last = HG_GUARD_INTERFACES_MAX;

	return bpf_map_update_elem(p->state, &last, &loaded, BPF_ANY) ? -errno : 0;
}

__u64 hg_pins_digest(const struct hg_pins *p)
{
	const __u32 last = HG_GUARD_INTERFACES_MAX;
	struct hg_bpf_loaded loaded;

	if (bpf_map_lookup_elem(p->state, &last, &loaded) || loaded.abi != HG_GUARD_ABI)
		return 0;
	return loaded.digest;
}

int hg_pins_commit(const struct hg_pins *p, __u64 digest, struct hg_error *e)
{
	int ret;

	if (hg_pins_digest(p) == digest)
		return 0;
	/* Who dies between two renames leaves pins of two files: then the digest must be unknown.
	 */
	loaded_write(p, 0);
	for (size_t i = 0; i < SUBS; i++) {
		ret = each_pin(p, subs[i], commit_one);
		if (ret)
			return hg_error_set(e, ret, "%s/%s: cannot rename a pin: %s", p->dir,
					    subs[i], strerror(-ret));
	}
	loaded_write(p, digest);
	return 0;
}

void hg_pins_timer_drop(const struct hg_pins *p)
{
	char path[PATH_MAX], zeros[64] = { 0 };
	struct bpf_map_info info = { 0 };
	__u32 zero = 0, len = sizeof(info);
	int fd;

	unlink(hg_pins_path(p, path, "programs", hg_bpf_prog_names[HG_PROG_TIMER], ""));
	fd = bpf_obj_get(hg_pins_path(p, path, "maps", "hg_timer", ""));
	if (fd < 0)
		return;
	/* A write from user space ends the timer in the value. */
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.value_size <= sizeof(zeros))
		bpf_map_update_elem(fd, &zero, zeros, BPF_ANY);
	close(fd);
}

int hg_pins_remove(struct hg_pins *p, struct hg_error *e)
{
	char path[PATH_MAX];
	int ret;

	for (size_t i = 0; i < SUBS; i++) {
		ret = each_pin(p, subs[i], remove_one);
		hg_pins_path(p, path, subs[i], "", "");
		if (!ret && rmdir(path) && errno != ENOENT)
			ret = -errno;
		if (ret)
			return hg_error_set(e, ret, "cannot remove %s: %s", path, strerror(-ret));
	}
	if (unlink(hg_pins_path(p, path, "state", "", "")) && errno != ENOENT)
		return hg_error_set(e, -errno, "cannot remove %s: %s", path, strerror(errno));
	/* Who waits for the lock to make a guard may have put its directories there already. */
	if (rmdir(p->dir) && errno != ENOTEMPTY)
		return hg_error_set(e, -errno, "cannot remove %s: %s", p->dir, strerror(errno));
	return 0;
}

static char *link_path(const struct hg_pins *p, char *buf, __u32 ifindex)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", ifindex);
	return hg_pins_path(p, buf, "links", name, "");
}

int hg_pins_link_get(const struct hg_pins *p, __u32 ifindex)
{
	char path[PATH_MAX];
	int fd = bpf_obj_get(link_path(p, path, ifindex));

	return fd < 0 ? -errno : fd;
}

int hg_pins_link_put(const struct hg_pins *p, __u32 ifindex, int fd)
{
	char path[PATH_MAX];

	return bpf_obj_pin(fd, link_path(p, path, ifindex)) ? -errno : 0;
}

void hg_pins_link_drop(const struct hg_pins *p, __u32 ifindex)
{
	char path[PATH_MAX];

	unlink(link_path(p, path, ifindex));
}

int hg_pins_record_read(const struct hg_pins *p, __u32 slot, struct hg_bpf_attachment *a)
{
	return bpf_map_lookup_elem(p->state, &slot, a) ? -errno : 0;
}

int hg_pins_record_write(const struct hg_pins *p, __u32 slot, const struct hg_bpf_attachment *a)
{
	return bpf_map_update_elem(p->state, &slot, a, BPF_ANY) ? -errno : 0;
}
