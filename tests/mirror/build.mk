# SPDX-License-Identifier: MIT
# Programs that the scripts of this directory run; they need a database and so are no *_test.
$(eval $(call program,tests/mirror/pg_check,tests/mirror/pg_check.c,$(pg-libs)))
$(eval $(call program,tests/mirror/syncload,tests/mirror/syncload.c,$(ssl-libs) -lpthread))
