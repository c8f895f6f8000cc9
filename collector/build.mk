# SPDX-License-Identifier: MIT
collector-srcs := $(addprefix collector/,main.c conf.c net.c list.c ingest.c keys.c rate.c udp.c \
	audit.c decide.c correlate.c block.c nft.c)
collector-libs := $(event-libs) $(ssl-libs) $(conf-libs) -lpq -lnftables -ljansson -lm
$(eval $(call program,heliograph-collector,$(collector-srcs) $(pg-srcs),$(collector-libs)))
