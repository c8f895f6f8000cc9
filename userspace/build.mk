# SPDX-License-Identifier: MIT
# The guard, for the agent and the command line.
guard-srcs := $(addprefix userspace/,guard-common.c guard-conf.c guard-bpf.c guard-pins.c \
	guard-programs.c guard-attach.c guard-maps.c)
guard-libs := -lbpf -lnl-route-3 -lnl-3
cflags-userspace/guard-attach := $(call pkg,cflags,libnl-route-3.0)

$(eval $(call program,heliograph,userspace/heliograph.c userspace/cmd_guard.c \
	userspace/agent-conf.c $(guard-srcs),$(guard-libs) $(conf-libs) -ljansson))
