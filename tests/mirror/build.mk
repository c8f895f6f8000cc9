# SPDX-License-Identifier: MIT
# Programs that the scripts of this directory run; they need a database and so are no *_test.
$(eval $(call program,tests/mirror/pg_check,tests/mirror/pg_check.c $(pg-srcs),$(pg-libs)))
# Preloaded into the mirror; without sanitizers, whose runtime would have to come first.
$(eval tests += $(O)/tests/mirror/pqfail.so)
$(O)/tests/mirror/pqfail.so: tests/mirror/pqfail.c $(O)/.flags
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(pg-cflags) $(warn) $(CFLAGS) -fPIC -shared -o $@ $< -ldl
test-srcs-tests/mirror/renew_test := mirror/renew.c mirror/pki.c tests/lib/pki.c
test-libs-tests/mirror/renew_test := $(ssl-libs) -lpq
test-srcs-tests/mirror/pace_test := mirror/pace.c mirror/net.c
test-libs-tests/mirror/pace_test := $(ssl-libs)
test-srcs-tests/mirror/admit_test := mirror/admit.c mirror/pace.c mirror/net.c
test-libs-tests/mirror/admit_test := $(ssl-libs) -levent_core
test-srcs-tests/mirror/stream_test := mirror/stream.c tests/lib/pki.c
test-libs-tests/mirror/stream_test := $(ssl-libs) -levent_core
# A device that sends what it is told to as early data.
$(eval $(call program,tests/mirror/earlyclient,tests/mirror/earlyclient.c,$(ssl-libs)))
test-srcs-tests/mirror/dbclock_test := mirror/dbclock.c
test-srcs-tests/mirror/once_test := mirror/once.c
test-libs-tests/mirror/once_test := $(ssl-libs)
