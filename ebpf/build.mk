# SPDX-License-Identifier: MIT
# The guard's packet programs: UAPI headers only, so no kernel BTF is needed.
# Version 3 of the instruction set (kernel 5.1) has 32-bit arithmetic and jumps: a tenth fewer.
bpf-objs := $(patsubst %.bpf.c,$(O)/%.bpf.o,$(wildcard ebpf/*.bpf.c))
# It has the byte order of the device, and otherwise runs on any. Kernel and libbpf headers are
# those of BPF_CPPFLAGS; without, the build machine's, whose <asm/types.h> does for all.
bpf-target := $(if $(shell $(CC) -dM -E -x c /dev/null | grep BYTE_ORDER__.*BIG),bpfeb,bpfel)
BPF_CPPFLAGS ?= $(addprefix -idirafter ,$(patsubst %/asm,%,$(firstword \
	$(wildcard $(addsuffix /asm,$(addprefix /usr/include/,$(shell $(CC) -print-multiarch) *))))))
# Blocks stay in the order of the source: LLVM likes to enter a loop by falling into it from its
# tail, which the verifier of Linux 6.1 takes for a jump back that it does not allow.
bpf-flags := -target $(bpf-target) -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra $(werror) -Wno-unused-parameter \
	-mllvm -disable-block-placement $(BPF_CPPFLAGS)

ebpf: $(bpf-objs)
$(O)/ebpf/%.bpf.o: ebpf/%.bpf.c $(O)/.flags
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(bpf-flags) -MMD -MP -c -o $@ $<
	$(Q)$(LLVM_STRIP) -g $@
-include $(patsubst %.o,%.d,$(bpf-objs))
