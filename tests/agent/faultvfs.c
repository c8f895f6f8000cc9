// SPDX-License-Identifier: MIT
/* See faultvfs.h. One thread; worlds are told apart by the directory in a file's path. */
#include "faultvfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sqlite3.h>

#define SECTOR 512

enum kind { WRITE, TRUNCATE, CREATE, DELETE, OTHER };

struct fault_pending {
	enum kind kind;
	struct fault_file *file;
	uint64_t offset; /* TRUNCATE: the new size */
	uint8_t *data;
	size_t len;
};

struct shim {
	sqlite3_file base;
	struct fault_world *world;
	struct fault_file *file;
	bool sync_dir; /* a new journal: its first sync is one of the directory too */
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static struct fault_world *worlds;

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* Durable content, or that of an image which is being made. */
static void put(struct fault_file *f, uint64_t offset, const uint8_t *data, size_t len)
{
	if (!len)
		return;
	if (offset + len > f->len) {
		f->data = must(realloc(f->data, offset + len));
		memset(f->data + f->len, 0, offset + len - f->len);
		f->len = offset + len;
	}
	memcpy(f->data + offset, data, len);
}

static void resize(struct fault_file *f, uint64_t size)
{
	if (size > f->len) {
		f->data = must(realloc(f->data, size));
		memset(f->data + f->len, 0, size - f->len);
	}
	f->len = size;
}

static void apply(struct fault_file *f, const struct fault_pending *p)
{
	switch (p->kind) {
	case WRITE:
		put(f, p->offset, p->data, p->len);
		break;
	case TRUNCATE:
		resize(f, p->offset);
		break;
	case CREATE:
		f->named = true;
		break;
	case DELETE:
		f->named = false;
		f->len = 0;
		break;
	case OTHER:
		break;
	}
}

static struct fault_pending *add_pending(struct fault_world *w, enum kind kind,
					 struct fault_file *file)
{
	struct fault_pending *p;

	w->pending = must(realloc(w->pending, (w->n_pending + 1) * sizeof(*p)));
	p = &w->pending[w->n_pending++];
	*p = (struct fault_pending){ .kind = kind, .file = file };
	return p;
}

/* Takes entries out; those of `file` or of names become durable first. */
static void settle(struct fault_world *w, const struct fault_file *file, bool names)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_pending; i++) {
		struct fault_pending *p = &w->pending[i];
		bool name = p->kind == CREATE || p->kind == DELETE;

		if (p->kind != OTHER && !(name ? names : p->file == file)) {
			w->pending[kept++] = *p;
			continue;
		}
		apply(p->file, p);
		free(p->data);
	}
	w->n_pending = kept;
}

/* Counts an operation and says whether it fails. */
static int begin_op(struct fault_world *w)
{
	w->ops++;
	if (w->at_op)
		w->at_op(w->ctx);
	if (!w->fail_at || w->ops < w->fail_at || (w->ops > w->fail_at && !w->fail_on))
		return SQLITE_OK;
	w->failed++;
	return w->fail_rc;
}

static void drop_other(struct fault_world *w)
{
	while (w->n_pending && w->pending[w->n_pending - 1].kind == OTHER)
		w->n_pending--;
}

/* An operation that changes nothing by itself. */
static int other_op(struct fault_world *w, struct fault_file *file)
{
	int rc;

	add_pending(w, OTHER, file);
	rc = begin_op(w);
	drop_other(w);
	return rc;
}

static int shim_close(sqlite3_file *file)
{
	struct shim *s = (struct shim *)file;
	int rc = s->real->pMethods->xClose(s->real);

	free(s->real);
	return rc;
}

static int shim_read(sqlite3_file *file, void *to, int n, sqlite3_int64 offset)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xRead(s->real, to, n, offset);
}

static int shim_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 offset)
{
	struct shim *s = (struct shim *)file;
	struct fault_world *w = s->world;
	struct fault_pending *p = add_pending(w, WRITE, s->file);
	int rc;

	p->offset = offset;
	p->len = n;
	p->data = must(malloc(n));
	memcpy(p->data, from, n);
	w->writes++;
	w->bytes += n;
	if ((uint64_t)offset + n > s->file->size_max)
		s->file->size_max = offset + n;
	rc = begin_op(w);
	if (rc != SQLITE_OK) { /* a disk that is full takes a part of it */
		w->pending[w->n_pending - 1].len = n / 2;
		s->real->pMethods->xWrite(s->real, from, n / 2, offset);
		return rc;
	}
	return s->real->pMethods->xWrite(s->real, from, n, offset);
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct shim *s = (struct shim *)file;
	int rc;

	add_pending(s->world, TRUNCATE, s->file)->offset = size;
	rc = begin_op(s->world);
	if (rc != SQLITE_OK) {
		s->world->n_pending--;
		return rc;
	}
	return s->real->pMethods->xTruncate(s->real, size);
}

static bool is_journal(const struct fault_file *f)
{
	return strstr(f->name, "-journal") != NULL;
}

static int shim_sync(sqlite3_file *file, int flags)
{
	struct shim *s = (struct shim *)file;
	struct fault_world *w = s->world;
	int rc;

	w->syncs++;
	rc = other_op(w, s->file);
	if (rc == SQLITE_OK)
		rc = s->real->pMethods->xSync(s->real, flags);
	if (rc != SQLITE_OK ||
	    (w->lies & (is_journal(s->file) ? FAULT_LIE_JOURNAL : FAULT_LIE_MAIN)))
		return rc;
	settle(w, s->file, s->sync_dir);
	s->sync_dir = false;
	return SQLITE_OK;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xFileSize(s->real, size);
}

static int shim_lock(sqlite3_file *file, int level)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xLock(s->real, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xUnlock(s->real, level);
}

static int shim_reserved(sqlite3_file *file, int *out)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xCheckReservedLock(s->real, out);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xFileControl(s->real, op, arg);
}

static int shim_sector(sqlite3_file *file)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xSectorSize(s->real);
}

static int shim_characteristics(sqlite3_file *file)
{
	struct shim *s = (struct shim *)file;

	return s->real->pMethods->xDeviceCharacteristics(s->real);
}

/* Version 1: no shared memory, no mapping, so all goes through here. */
static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_reserved,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector,
	.xDeviceCharacteristics = shim_characteristics,
};

static struct fault_world *world_of(const char *path)
{
	for (struct fault_world *w = worlds; path && w; w = w->next) {
		size_t len = strlen(w->dir);

		if (!strncmp(path, w->dir, len) && path[len] == '/' && !strchr(path + len + 1, '/'))
			return w;
	}
	return NULL;
}

static struct fault_file *file_of(struct fault_world *w, const char *path)
{
	const char *name = path + strlen(w->dir) + 1;
	size_t i;

	for (i = 0; i < FAULT_FILES && w->files[i].name[0]; i++)
		if (!strcmp(w->files[i].name, name))
			return &w->files[i];
	if (i == FAULT_FILES)
		abort();
	snprintf(w->files[i].name, sizeof(w->files[i].name), "%s", name);
	return &w->files[i];
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
	struct shim *s = (struct shim *)file;
	bool is_new;
	int rc;

	s->base.pMethods = NULL;
	s->world = world_of(path);
	if (!s->world)
		return real_vfs->xOpen(real_vfs, path, file, flags, out);
	s->file = file_of(s->world, path);
	is_new = access(path, F_OK) && flags & SQLITE_OPEN_CREATE;
	add_pending(s->world, is_new ? CREATE : OTHER, s->file);
	rc = begin_op(s->world);
	if (rc != SQLITE_OK && is_new)
		s->world->n_pending--;
	drop_other(s->world);
	if (rc != SQLITE_OK)
		return rc == SQLITE_IOERR ? SQLITE_CANTOPEN : rc;
	s->sync_dir = is_new && is_journal(s->file);
	s->real = must(calloc(1, real_vfs->szOsFile));
	rc = real_vfs->xOpen(real_vfs, path, s->real, flags, out);
	if (rc != SQLITE_OK) {
		free(s->real);
		return rc;
	}
	s->base.pMethods = &methods;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync_dir)
{
	struct fault_world *w = world_of(path);
	int rc;

	if (!w)
		return real_vfs->xDelete(real_vfs, path, sync_dir);
	add_pending(w, DELETE, file_of(w, path));
	rc = begin_op(w);
	if (rc == SQLITE_OK)
		rc = real_vfs->xDelete(real_vfs, path, sync_dir);
	if (rc != SQLITE_OK)
		w->n_pending--;
	else if (sync_dir)
		settle(w, NULL, true);
	return rc;
}

static void register_vfs(void)
{
	static sqlite3_vfs vfs;

	if (real_vfs)
		return;
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs; /* what is not replaced needs only what is in it */
	vfs.zName = "fault";
	vfs.xOpen = vfs_open;
	vfs.xDelete = vfs_delete;
	if (vfs.szOsFile < (int)sizeof(struct shim))
		vfs.szOsFile = sizeof(struct shim);
	sqlite3_vfs_register(&vfs, 1);
}

static void read_durable(struct fault_world *w, const char *name)
{
	char path[512];
	struct fault_file *f;
	uint8_t block[4096];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	f = file_of(w, path);
	f->named = true;
	fd = open(path, O_RDONLY);
	while ((n = read(fd, block, sizeof(block))) > 0)
		put(f, f->len, block, n);
	close(fd);
}

void fault_watch(struct fault_world *w, const char *dir)
{
	struct dirent *e;
	DIR *d;

	register_vfs();
	snprintf(w->dir, sizeof(w->dir), "%s", dir);
	d = opendir(dir);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, "store.db", 8))
			read_durable(w, e->d_name);
	if (d)
		closedir(d);
	w->next = worlds;
	worlds = w;
}

void fault_unwatch(struct fault_world *w)
{
	struct fault_world **p = &worlds;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	for (size_t i = 0; i < w->n_pending; i++)
		free(w->pending[i].data);
	free(w->pending);
	for (size_t i = 0; i < FAULT_FILES; i++)
		free(w->files[i].data);
	*w = (struct fault_world){ 0 };
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* A write of which each sector arrives or does not. */
static void apply_sectors(struct fault_file *image, const struct fault_pending *p, uint64_t *seed)
{
	uint64_t at = p->offset, end = p->offset + p->len, to;

	for (; at < end; at = to) {
		to = (at / SECTOR + 1) * SECTOR;
		if (to > end)
			to = end;
		if (next_random(seed) & 1)
			put(image, at, p->data + (at - p->offset), to - at);
	}
}

static void apply_torn(struct fault_file *image, const struct fault_pending *p)
{
	uint64_t half = (p->offset + p->len / 2) / SECTOR * SECTOR;

	if (p->kind == WRITE && half > p->offset)
		put(image, p->offset, p->data, half - p->offset);
}

static void apply_some(struct fault_world *w, size_t i, int survivor, struct fault_file *image,
		       uint64_t *seed)
{
	const struct fault_pending *p = &w->pending[i];
	bool last = i + 1 == w->n_pending, journal = is_journal(p->file), yes;

	if (survivor >= FAULT_RANDOM && p->kind == WRITE) {
		apply_sectors(image, p, seed);
		return;
	}
	if (survivor == FAULT_TORN && last) {
		apply_torn(image, p);
		return;
	}
	yes = survivor == FAULT_ALL || (survivor == FAULT_BUT_LAST && !last) ||
	      survivor == FAULT_TORN || (survivor == FAULT_ONLY_LAST && last) ||
	      (survivor == FAULT_BUT_FIRST && i) || (survivor == FAULT_JOURNAL_LOST && !journal) ||
	      (survivor == FAULT_JOURNAL_ONLY && journal) ||
	      (survivor >= FAULT_RANDOM && next_random(seed) & 1);
	/* A file that was deleted and made again is another one: its writes do not meet the old. */
	if (p->kind == DELETE)
		for (size_t j = i + 1; j < w->n_pending; j++)
			yes |= w->pending[j].file == p->file;
	if (yes)
		apply(image, p);
}

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h;
}

static void write_image(const char *dir, const struct fault_file *f)
{
	char path[512];
	int fd;

	if (!f->named)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, f->name);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || write(fd, f->data, f->len) != (ssize_t)f->len)
		abort();
	close(fd);
}

static void remove_files(const char *dir)
{
	static const char *const names[] = { "store.db", "store.db-journal", "store.db-wal" };
	char path[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
}

uint64_t fault_survive(struct fault_world *w, int survivor, const char *to, uint64_t seed)
{
	uint64_t hash = UINT64_C(14695981039346656037), random = seed * 2 + survivor;

	remove_files(to);
	for (size_t i = 0; i < FAULT_FILES && w->files[i].name[0]; i++) {
		struct fault_file *f = &w->files[i], image = *f;

		image.data = must(malloc(f->len + 1));
		memcpy(image.data, f->data ? f->data : (const uint8_t *)"", f->len);
		for (size_t j = 0; j < w->n_pending; j++)
			if (w->pending[j].file == f)
				apply_some(w, j, survivor, &image, &random);
		write_image(to, &image);
		hash = mix(hash, f->name, strlen(f->name) + 1);
		hash = mix(hash, &image.named, sizeof(image.named));
		hash = mix(hash, image.data, image.named ? image.len : 0);
		free(image.data);
	}
	return hash;
}
