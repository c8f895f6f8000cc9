# SPDX-License-Identifier: MIT
# The guard, for the agent and the command line.
guard-srcs := $(addprefix userspace/,guard-common.c guard-conf.c guard-bpf.c guard-pins.c \
	guard-programs.c guard-attach.c guard-maps.c guard-events.c guard-probe.c guard-host.c guard-kmod.c \
	guard-kmod-events.c guard-kmod-keep.c guard-kmod-probe.c guard-netlink.c)
guard-libs := -lbpf -lnl-route-3 -lnl-genl-3 -lnl-3
cflags-userspace/links := $(call pkg,cflags,libnl-route-3.0)
cflags-userspace/guard-attach := $(call pkg,cflags,libnl-route-3.0)
$(foreach f,guard-probe guard-kmod guard-kmod-events guard-kmod-keep guard-kmod-probe guard-netlink,\
	$(eval cflags-userspace/$(f) := $(call pkg,cflags,libnl-genl-3.0)))

profile-srcs := $(addprefix userspace/,profile.c profile-read.c profile-write.c profile-text.c \
	profile-compile.c profile-sign.c)
profile-libs := -ljansson $(ssl-libs) -lm

# The command line's `profile`.
profile-cmds := $(addprefix userspace/,cmd_profile.c cmd_profile_diff.c cmd_profile_sign.c \
	cmd_profile_compile.c cmd_profile_mud.c)
mud-srcs := $(addprefix userspace/,mud-read.c mud-ace.c mud-remote.c mud-grant.c mud-entry.c \
	mud-import.c mud-export.c)

# Captures, for `heliograph profile`.
capture-srcs := $(addprefix userspace/,capture.c capture-device.c capture-file.c capture-finder.c \
	capture-peers.c)
replay-srcs := $(capture-srcs) $(addprefix userspace/,replay.c dns.c names.c targets.c)
learn-srcs := $(addprefix userspace/,learn.c learn-minutes.c learn-endpoints.c learn-channels.c \
	learn-envelope.c learn-sums.c)
capture-cmd-srcs := $(replay-srcs) $(learn-srcs) $(addprefix userspace/,cmd_profile_capture.c \
	cmd_profile_test.c cmd_profile_learn.c cmd_profile_plot.c plot.c episodes.c labels.c)

store-srcs := $(addprefix userspace/,store.c store-commit.c store-schema.c store-property.c \
	store-merge.c store-journal.c store-part.c store-profile.c)
agent-srcs := $(addprefix userspace/,agent-conf.c model.c property.c resolver.c session.c \
	session-message.c sync.c interval.c credentials.c clock.c state-file.c renewal.c handler.c \
	command.c socket.c socket-ops.c notify.c watch.c watch-alarm.c watch-bare.c watch-status.c \
	detect.c targets.c alarm.c heartbeat.c answers.c dns.c names.c guard-profile.c) $(profile-srcs) \
	$(store-srcs) $(guard-srcs)

agent-srcs += userspace/model-times.c userspace/links.c

cflags-userspace/clock := $(if $(SOURCE_DATE_EPOCH),-DHG_BUILD_TIME=$(SOURCE_DATE_EPOCH))
$(eval $(call program,heliographd,userspace/main.c $(agent-srcs),$(event-libs) $(ssl-libs) \
	-ljansson -lsqlite3 $(guard-libs) $(conf-libs) -lm))
$(eval $(call program,heliograph,userspace/heliograph.c userspace/cmd_guard.c \
	userspace/cmd_events.c userspace/cmd_probe.c \
	userspace/cmd_seal.c userspace/seal.c userspace/guard-profile.c \
	userspace/cmd_agent.c userspace/libheliograph.c \
	userspace/agent-conf.c $(profile-cmds) $(profile-srcs) $(mud-srcs) $(guard-srcs) \
	$(capture-cmd-srcs),$(guard-libs) $(conf-libs) $(profile-libs) -lpcap))

# The same `profile` for a maker's build machine; its first words say what it does without.
$(eval $(call program,heliograph-profile,userspace/heliograph-profile.c $(profile-cmds) \
	$(profile-srcs) $(mud-srcs) $(capture-cmd-srcs) userspace/guard-common.c,\
	$(profile-libs) -lpcap))

# For applications of others: a shared and a static library with the names of libheliograph.h only.
libheliograph := $(O)/libheliograph.so.0
programs += $(libheliograph) $(O)/libheliograph.a
$(libheliograph): userspace/libheliograph.c userspace/libheliograph.h $(O)/.flags
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_cflags) -fPIC -shared -Wl,-soname,$(@F) -Wl,-z,relro,-z,now $(san) $(LDFLAGS) \
		-o $@ $< -ljansson
$(O)/libheliograph.a: $(O)/userspace/libheliograph.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
