# SPDX-License-Identifier: MIT
$(eval $(call program,tests/bench/frames,tests/bench/frames.c,-lbpf))
$(eval $(call program,tests/bench/rr,tests/bench/rr.c,))
$(eval $(call program,tests/bench/score,tests/bench/score.c tests/core/frames.c,-lbpf))
$(eval $(call program,tests/bench/mqtt,tests/bench/mqtt.c tests/load/cpu.c tests/load/state.c mirror/pki.c,$(ssl-libs)))
$(eval $(call program,tests/bench/handshake,tests/bench/handshake.c tests/lib/pki.c,$(ssl-libs)))
tests += $(O)/tests/bench/frames.bpf.o
$(O)/tests/bench/%.bpf.o: tests/bench/%.bpf.c tests/bench/frames.h $(O)/.flags
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf-flags) -c -o $@ $<
