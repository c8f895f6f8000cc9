# SPDX-License-Identifier: MIT
test-libs-tests/lib/conf_test := $(conf-libs)
test-libs-tests/lib/program_test := $(conf-libs)
test-libs-tests/lib/cbor_test := -ljansson
test-srcs-tests/lib/alarm_test := tests/lib/pki.c
test-libs-tests/lib/alarm_test := $(ssl-libs)
test-srcs-tests/lib/tls_test := tests/lib/pki.c
test-libs-tests/lib/tls_test := $(ssl-libs)
test-srcs-tests/lib/ticket_race_test := tests/lib/pki.c
test-libs-tests/lib/ticket_race_test := $(ssl-libs) -lpthread
test-srcs-tests/lib/psk_test := tests/lib/pki.c
test-libs-tests/lib/psk_test := $(ssl-libs)
$(eval $(call program,tests/lib/vectors,tests/lib/vectors.c tests/lib/pki.c,-ljansson $(ssl-libs)))
test-srcs-tests/lib/print_test := lib/pg_print.c
test-libs-tests/lib/print_test := -lpq
test-srcs-tests/lib/print_test := lib/pg_print.c
test-srcs-tests/lib/crl_test := tests/lib/pki.c
test-libs-tests/lib/crl_test := $(ssl-libs)
