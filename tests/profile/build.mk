# SPDX-License-Identifier: MIT
test-srcs-tests/profile/capture_test := tests/profile/pcapgen.c $(capture-srcs)
test-libs-tests/profile/capture_test := -lpcap -ljansson
