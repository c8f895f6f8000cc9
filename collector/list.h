/* SPDX-License-Identifier: MIT */
/* The subcommands that look at the database and end decisions. */
#ifndef HG_COLLECTOR_LIST_H
#define HG_COLLECTOR_LIST_H

#include "conf.h"

/* Each returns an enum hg_exit; argv[0] is the subcommand. */
int hg_list_incidents(const struct hg_collector_conf *conf, int argc, char **argv);
int hg_list_decisions(const struct hg_collector_conf *conf, int argc, char **argv);
int hg_list_drift(const struct hg_collector_conf *conf, int argc, char **argv);
int hg_list_devices(const struct hg_collector_conf *conf, int argc, char **argv);
int hg_list_audit(const struct hg_collector_conf *conf, int argc, char **argv);
int hg_list_history(const struct hg_collector_conf *conf, int argc, char **argv);
int hg_list_restore(const struct hg_collector_conf *conf, int argc, char **argv);

#endif
