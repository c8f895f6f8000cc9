# SPDX-License-Identifier: MIT
play-srcs = $(addprefix tests/core/,frames.c play.c cases.c cases-out.c) userspace/guard-common.c
test-srcs-tests/core/verdict_test := $(play-srcs)
