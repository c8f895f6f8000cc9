/* SPDX-License-Identifier: MIT */
/* The subcommands of heliograph-mirror. Each returns an enum hg_exit after printing what went
 * wrong. */
#ifndef HG_MIRROR_CMD_H
#define HG_MIRROR_CMD_H

#include "conf.h"

/* ctx is a struct hg_mirror_conf. */
int hg_cmd_serve(void *ctx, int argc, char **argv);
int hg_cmd_migrate(void *ctx, int argc, char **argv);
int hg_cmd_events(void *ctx, int argc, char **argv);
int hg_cmd_restored(void *ctx, int argc, char **argv);
int hg_cmd_ca_init(void *ctx, int argc, char **argv);
int hg_cmd_ca_server(void *ctx, int argc, char **argv);
int hg_cmd_psk_key(void *ctx, int argc, char **argv);
int hg_cmd_ca_crl(void *ctx, int argc, char **argv);
int hg_cmd_device_add(void *ctx, int argc, char **argv);
int hg_cmd_device_list(void *ctx, int argc, char **argv);
int hg_cmd_device_show(void *ctx, int argc, char **argv);
int hg_cmd_device_revoke(void *ctx, int argc, char **argv);
int hg_cmd_device_release(void *ctx, int argc, char **argv);
int hg_cmd_model_add(void *ctx, int argc, char **argv);
int hg_cmd_model_list(void *ctx, int argc, char **argv);
int hg_cmd_token_add(void *ctx, int argc, char **argv);
int hg_cmd_token_list(void *ctx, int argc, char **argv);
int hg_cmd_token_revoke(void *ctx, int argc, char **argv);

#endif
