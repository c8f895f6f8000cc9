# SPDX-License-Identifier: MIT
test-srcs-tests/bpf/verdict_test = $(play-srcs) tests/bpf/testrun.c
test-libs-tests/bpf/verdict_test := -lbpf
test-srcs-tests/bpf/captures_test = tests/bpf/testrun.c userspace/guard-common.c
test-libs-tests/bpf/captures_test := -lbpf -lpcap -ljansson
test-srcs-tests/bpf/answers_test = tests/core/frames.c tests/bpf/testrun.c userspace/guard-common.c
test-libs-tests/bpf/answers_test := -lbpf
test-srcs-tests/bpf/profile_test = tests/bpf/testrun.c userspace/guard-common.c userspace/names.c \
	userspace/dns.c $(capture-srcs) $(profile-srcs)
test-libs-tests/bpf/profile_test = -lbpf -lpcap $(profile-libs)
test-libs-tests/bpf/score_test := -lbpf
# Reads a list of captures from standard input: see tests/kmod/captures.t.
$(eval $(call program,tests/bpf/replay,tests/bpf/replay.c tests/core/replay.c tests/bpf/testrun.c \
	userspace/guard-common.c userspace/names.c userspace/dns.c $(capture-srcs) $(profile-srcs),\
	-lbpf -lpcap $(profile-libs)))
