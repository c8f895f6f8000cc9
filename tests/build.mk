# SPDX-License-Identifier: MIT
# A C test is tests/AREA/NAME_test.c and prints TAP (tests/tap.h); it links libhg.a and
# the libraries that its line below names (default: none).
test-libs-default := -lcrypto -lm
c-tests := $(patsubst %.c,%,$(sort $(wildcard tests/*/*_test.c)))
# $(eval test-srcs-tests/AREA/NAME_test := more.c) and test-libs-... may be set in
# tests/AREA/build.mk, which is read first.
include $(sort $(wildcard tests/*/build.mk))
$(foreach t,$(c-tests),$(eval $(call program,$(t),$(t).c $(test-srcs-$(t)),$(or $(test-libs-$(t)),$(test-libs-default)))))
