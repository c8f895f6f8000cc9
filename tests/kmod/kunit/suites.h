/* SPDX-License-Identifier: GPL-2.0 */
/* What the suites share. */
#ifndef HG_KUNIT_SUITES_H
#define HG_KUNIT_SUITES_H

#include <kunit/test.h>
#include "../kmod/guard.h"

extern struct kunit_suite hg_table_suite, hg_lock_suite, hg_guard_suite, hg_distress_suite;

/* The hg_net of every namespace here, for the module's own life is not in this module. */
extern struct hg_net hg_test_net;

/* A guard in init_net without interfaces, hooks or clock; freed by hg_test_guard_free(). */
struct hg_guard *hg_test_guard(struct kunit *test);
void hg_test_guard_free(struct hg_guard *g);

#endif
