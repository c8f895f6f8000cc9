# SPDX-License-Identifier: MIT
# The generator of load; certificates are those that the mirror's own authority makes, and who
# failed comes back when the agent would.
load-srcs := $(sort $(wildcard tests/load/*.c)) mirror/pki.c userspace/interval.c
$(eval $(call program,tests/load/devices,$(load-srcs),-levent_core $(ssl-libs) $(conf-libs) -lpq))
