# SPDX-License-Identifier: MIT
$(eval $(call program,tests/net/flood,tests/net/flood.c tests/net/send.c,))
$(eval $(call program,tests/net/sic,tests/net/sic.c tests/net/hostile.c tests/net/send.c,))

# The guard as other releases would be: other instructions over the same maps, wider maps, a timer
# that no kernel takes.
guard-variants := $(patsubst %,$(O)/tests/net/guard-%.bpf.o,other wider untimed)
variant-sed-other := s/(\*n)++/__sync_fetch_and_add(n, 1)/
variant-sed-wider := s/max_entries, 512/max_entries, 1024/
variant-sed-untimed := /include "close.h"/ i \
	\#define bpf_timer_set_callback(t, f) ((void)(f), bpf_timer_set_callback(t, 0))
tests += $(guard-variants)
$(guard-variants): $(O)/tests/net/guard-%.bpf.o: $(O)/ebpf/heliograph.bpf.o
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sed '$(variant-sed-$*)' ebpf/heliograph.bpf.c | \
		$(CLANG) $(bpf-flags) -iquote ebpf -x c -c -o $@ -
	$(Q)$(LLVM_STRIP) -g $@
