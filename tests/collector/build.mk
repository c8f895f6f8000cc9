# SPDX-License-Identifier: MIT
$(eval $(call program,tests/collector/sender,tests/collector/sender.c,$(ssl-libs)))
