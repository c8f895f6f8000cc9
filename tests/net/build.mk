# SPDX-License-Identifier: MIT
$(eval $(call program,tests/net/flood,tests/net/flood.c,))
