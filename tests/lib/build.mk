# SPDX-License-Identifier: MIT
test-libs-tests/lib/conf_test := $(conf-libs)
test-libs-tests/lib/program_test := $(conf-libs)
test-libs-tests/lib/tls_test := $(ssl-libs)
test-libs-tests/lib/cbor_test := -ljansson
