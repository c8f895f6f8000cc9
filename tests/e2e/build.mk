# SPDX-License-Identifier: MIT
$(eval $(call program,tests/e2e/badlink,tests/e2e/badlink.c,))
