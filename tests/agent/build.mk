# SPDX-License-Identifier: MIT
store-srcs := userspace/store.c userspace/store-property.c userspace/store-journal.c
test-srcs-tests/agent/store_test := $(store-srcs)
test-libs-tests/agent/store_test := -lsqlite3
