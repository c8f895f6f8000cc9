# SPDX-License-Identifier: MIT
mirror-srcs := $(sort $(wildcard mirror/*.c))
$(eval $(call program,heliograph-mirror,$(mirror-srcs) $(pg-srcs),\
	$(event-libs) $(ssl-libs) $(conf-libs) -lpq -ljansson))
