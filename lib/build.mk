# SPDX-License-Identifier: MIT
# libhg.a: what all daemons link. A program pulls in only what it calls.
lib-srcs := $(sort $(wildcard lib/*.c))
pkg = $(shell $(PKG_CONFIG) --$(1) $(2))
ssl-libs := -lssl -lcrypto
event-libs := -levent_openssl -levent_core -levent_extra
conf-libs := -linih
pg-libs := -lpq -levent_core
