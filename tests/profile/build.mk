# SPDX-License-Identifier: MIT
test-srcs-tests/profile/capture_test := tests/profile/pcapgen.c $(capture-srcs)
test-libs-tests/profile/capture_test := -lpcap -ljansson
test-srcs-tests/profile/compile_test := userspace/names.c $(profile-srcs)
test-libs-tests/profile/compile_test := $(profile-libs)
test-srcs-tests/profile/sign_test := tests/lib/pki.c $(profile-srcs)
test-libs-tests/profile/sign_test := $(profile-libs)
test-srcs-tests/profile/replay_test := tests/profile/pcapgen.c $(replay-srcs) userspace/episodes.c \
	userspace/profile-text.c userspace/guard-common.c
test-libs-tests/profile/replay_test := -lpcap $(ssl-libs)
test-srcs-tests/profile/mud_test := $(mud-srcs) $(profile-srcs)
test-libs-tests/profile/mud_test := $(profile-libs)
