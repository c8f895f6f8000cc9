# SPDX-License-Identifier: MIT
$(eval $(call program,tests/collector/sender,tests/collector/sender.c,$(ssl-libs)))
test-srcs-tests/collector/correlate_test := collector/correlate.c collector/net.c
test-libs-tests/collector/correlate_test := -lm
test-srcs-tests/collector/net_test := collector/net.c collector/rate.c collector/keys.c
test-libs-tests/collector/net_test := $(ssl-libs)
test-srcs-tests/collector/block_test := collector/block.c collector/nft.c collector/net.c
test-libs-tests/collector/block_test := -lnftables -ljansson
