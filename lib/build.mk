# SPDX-License-Identifier: MIT
# libhg.a: what all daemons link. A program pulls in only what it calls. What wants libpq stands
# apart, so that a device's image is built without PostgreSQL.
pg-srcs := $(sort $(wildcard lib/pg*.c))
lib-srcs := $(filter-out $(pg-srcs),$(sort $(wildcard lib/*.c)))
# Silent on a machine without pkg-config: `make demo` installs it, and then reads this again.
pkg = $(if $(shell command -v $(PKG_CONFIG)),$(shell $(PKG_CONFIG) --$(1) $(2)))
ssl-libs := -lssl -lcrypto
event-libs := -levent_openssl -levent_core -levent_extra
conf-libs := -linih
pg-libs := -lpq -levent_core
