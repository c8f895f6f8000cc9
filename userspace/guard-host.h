/* SPDX-License-Identifier: MIT */
/*
 * Which host guards: BPF programs or the netfilter module. The agent and the command line come to
 * a guard through here, so that both choose alike.
 *
 * With [guard] host = auto a guard that runs stays with its host. Else BPF is taken where it does
 * all that it is made for (JIT, timer); where it does not, the module if there is one; and BPF
 * without timer if there is none.
 */
#ifndef HG_USERSPACE_GUARD_HOST_H
#define HG_USERSPACE_GUARD_HOST_H

#include "guard.h"

/* A host, and in one clause why it and no other. */
struct hg_guard_pick {
	const struct hg_guard_ops *ops;
	char why[300];
};

/* By enum hg_guard_host, without HG_HOST_AUTO; NULL ends the list. */
extern const struct hg_guard_ops *const hg_guard_hosts[];
#define HG_HOSTS_MAX 2

/* Looks with all hosts; reports[i] is of hg_guard_hosts[i]. */
void hg_guard_look(const struct hg_guard_options *o,
		   struct hg_guard_report reports[static HG_HOSTS_MAX]);

/*
 * The host by what was found (reports[HG_HOSTS_MAX]; NULL: it is looked for if it matters). -errno
 * with the reasons in err: none can guard here.
 */
int hg_guard_pick(const struct hg_guard_options *o, const struct hg_guard_report *reports,
		  struct hg_guard_pick *pick, char *err, size_t err_size);

/*
 * Attaches with the picked host, see hg_guard_ops. A guard of another host ends once this one is
 * there; -EBUSY: it could not be ended, and both guard.
 */
int hg_guard_attach(struct hg_guard_options *o, struct hg_guard_pick *pick, struct hg_guard **g,
		    char *err, size_t err_size);

/* Opens the guard that runs, of the host wanted (enum hg_guard_host). -ENOENT: none does. */
int hg_guard_open(int host, const char *pin_dir, const struct hg_guard_ops **ops,
		  struct hg_guard **g, char *err, size_t err_size);

/* Ends what runs; the seal is for one that is locked, or NULL. -ENOENT: there was none. */
int hg_guard_detach(int host, const char *pin_dir, const struct hg_seal *seal, char *err,
		    size_t err_size);

#endif
