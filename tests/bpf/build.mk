# SPDX-License-Identifier: MIT
test-srcs-tests/bpf/verdict_test = $(play-srcs) tests/bpf/testrun.c
test-libs-tests/bpf/verdict_test := -lbpf
