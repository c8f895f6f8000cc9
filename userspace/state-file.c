// SPDX-License-Identifier: MIT
/*
 * Files that are replaced whole: written beside, synced, renamed, and the directory synced. A power
 * cut leaves the old one or the new one. Called by credentials.c, clock.c and renewal.c.
 */
#include "state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PATH_BYTES 4352 /* state_dir has at most 4095 */

char *hg_state_path(const char *dir, const char *name, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s", dir, name);
	return buf;
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

int hg_state_write(const char *dir, const char *name, const void *data, size_t len)
{
	char path[PATH_BYTES], temp[PATH_BYTES + 4];
	int fd, rc = 0;
	ssize_t n;

	hg_state_path(dir, name, path, sizeof(path));
	snprintf(temp, sizeof(temp), "%s.new", path);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	n = write(fd, data, len);
	if (n != (ssize_t)len)
		rc = n < 0 ? -errno : -ENOSPC;
	else if (fsync(fd))
		rc = -errno;
	close(fd);
	if (!rc && rename(temp, path))
		rc = -errno;
	if (rc)
		unlink(temp);
	return rc ? rc : sync_dir(dir);
}

size_t hg_state_read(const char *dir, const char *name, void *buf, size_t size)
{
	char path[PATH_BYTES];
	FILE *f = fopen(hg_state_path(dir, name, path, sizeof(path)), "re");
	size_t n = f ? fread(buf, 1, size, f) : 0;

	if (f)
		fclose(f);
	return n;
}

void hg_state_remove(const char *dir, const char *name)
{
	char path[PATH_BYTES];

	unlink(hg_state_path(dir, name, path, sizeof(path)));
}
