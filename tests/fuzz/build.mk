# SPDX-License-Identifier: MIT
# One libFuzzer target per parser, NAME_fuzz.c, with the sanitizers of clang. Built with the tests where
# clang has the runtime; `make fuzz FUZZ_SECONDS=n` runs each for n seconds and keeps what it learns in
# $(O)/fuzz/corpus.
FUZZ_SECONDS ?= 60
fuzz-names := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz-programs := $(addprefix $(O)/fuzz/,$(fuzz-names))
fuzz-lib := $(addprefix $(O)/fuzz/lib/,alarm.o alarm-payload.o cbor.o cborjson.o conf.o \
	conf-value.o cose.o crl.o nearest.o tls.o tls-lib.o wire.o wire-element.o)
fuzz-lib += $(addprefix $(O)/fuzz/userspace/,dns.o names.o profile.o profile-read.o \
	profile-write.o profile-text.o profile-compile.o profile-sign.o mud-read.o mud-ace.o \
	mud-remote.o mud-grant.o mud-entry.o mud-import.o mud-export.o)
fuzz-lib += $(patsubst %.c,$(O)/fuzz/%.o,$(capture-srcs) userspace/replay.c userspace/targets.c \
	userspace/episodes.c userspace/guard-common.c $(learn-srcs))
# What only one target needs.
$(O)/fuzz/api: $(O)/fuzz/mirror/api.o
$(O)/fuzz/csr: $(O)/fuzz/mirror/renew.o
$(O)/fuzz/exchange: $(addprefix $(O)/fuzz/mirror/,exchange.o large.o)
$(O)/fuzz/psk: $(O)/fuzz/lib/psk.o
$(O)/fuzz/socket: $(addprefix $(O)/fuzz/,userspace/socket-ops.o userspace/property.o userspace/model.o userspace/model-times.o \
	lib/log.o lib/safe-text.o $(patsubst %.c,%.o,$(store-srcs)))
fuzz-libs := -lsqlite3 -lpq -lpcap -ljansson $(conf-libs) $(ssl-libs)
fuzz-runtime := $(wildcard $(addsuffix /libclang_rt.fuzzer*,$(shell $(CLANG) -print-runtime-dir 2>/dev/null)))
fuzz-flags := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g
.SECONDARY: $(fuzz-lib) $(patsubst %,$(O)/fuzz/tests/fuzz/%_fuzz.o,$(fuzz-names))

ifeq ($(SAN)$(CROSS_COMPILE),)
ifneq ($(fuzz-runtime),)
tests += $(fuzz-programs)
endif
endif

$(O)/fuzz/%.o: %.c $(O)/.flags
	$(call say,FUZZ,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -std=gnu11 -D_GNU_SOURCE -DHG_VERSION='"$(VERSION)"' \
		-DHG_BPFDIR='"$(BPFDIR)"' -Wall -Wextra -Werror \
		-Wno-unused-parameter $(pg-cflags) $(fuzz-flags) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(fuzz-programs): $(O)/fuzz/%: $(O)/fuzz/tests/fuzz/%_fuzz.o $(fuzz-lib)
	$(call say,LINK,$@)
	$(Q)$(CLANG) $(fuzz-flags) -fsanitize=fuzzer -o $@ $^ $(fuzz-libs)

-include $(wildcard $(O)/fuzz/lib/*.d $(O)/fuzz/userspace/*.d $(O)/fuzz/mirror/*.d $(O)/fuzz/tests/fuzz/*.d)

.PHONY: fuzz
fuzz: $(fuzz-programs) $(O)/tests/lib/vectors $(O)/tests/core/verdict_test $(O)/tests/agent/dns_test \
		$(O)/tests/profile/sign_test $(O)/tests/profile/mud_test $(O)/tests/profile/capture_test
	$(Q)tests/fuzz/seeds $(O) $(O)/fuzz/seeds
	$(Q)set -e; for t in $(fuzz-names); do \
		mkdir -p $(O)/fuzz/corpus/$$t; \
		echo "== $$t"; \
		$(O)/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=5 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=$(O)/fuzz/$$t- $(O)/fuzz/corpus/$$t $(O)/fuzz/seeds/$$t; \
	done
