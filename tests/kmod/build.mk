# SPDX-License-Identifier: MIT
# Programs that run where heliograph.ko is: in a guest, see the scripts beside this file.
module-srcs = $(addprefix tests/kmod/,genl.c module.c) userspace/guard-common.c
$(eval $(call program,tests/kmod/verdict,tests/kmod/verdict.c tests/kmod/genl.c tests/kmod/module.c \
	$(play-srcs),))
$(eval $(call program,tests/kmod/captures,tests/kmod/captures.c tests/core/replay.c $(module-srcs) userspace/names.c \
	userspace/dns.c $(capture-srcs) $(profile-srcs),-lpcap $(profile-libs)))
$(eval $(call program,tests/kmod/score,tests/kmod/score.c $(module-srcs),))
$(eval $(call program,tests/kmod/wire,tests/kmod/wire.c tests/kmod/genl.c tests/kmod/module.c \
	$(play-srcs),))
$(eval $(call program,tests/kmod/drill,$(addprefix tests/kmod/,drill.c drill-netlink.c drill-seeds.c \
	drill-world.c drill-nth.c drill-fuzz.c drill-packets.c drill-churn.c) tests/net/hostile.c tests/net/send.c,-lcrypto))
$(eval $(call program,tests/kmod/talk,tests/kmod/talk.c,))
