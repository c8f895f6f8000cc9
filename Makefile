# SPDX-License-Identifier: MIT
# Heliograph: plain make. `make help` lists the targets.
#
# Each directory says in its build.mk which programs and tests it has; this file
# knows how to build one. All output goes to $(O).

SAN ?=
ifeq ($(SAN),0)
override SAN :=
endif
O ?= build$(if $(SAN),/san)
PREFIX ?= /usr
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BPFDIR ?= $(PREFIX)/lib/bpf
DATADIR ?= $(PREFIX)/share/heliograph
MANDIR ?= $(PREFIX)/share/man
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
SRCDIR ?= $(PREFIX)/src
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
# make's own defaults (cc, ar) give way; CC or AR of the environment or command line do not.
ifeq ($(origin CC),default)
CC = $(CROSS_COMPILE)gcc
endif
ifeq ($(origin AR),default)
AR = $(CROSS_COMPILE)ar
endif
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
PKG_CONFIG ?= $(CROSS_COMPILE)pkg-config
ifneq ($(CROSS_COMPILE),)
ifeq ($(shell command -v $(PKG_CONFIG) 2>/dev/null),)
PKG_CONFIG = pkg-config
endif
endif

VERSION := $(shell cat VERSION)
Q := $(if $(V),,@)
quiet = $(findstring s,$(firstword -$(MAKEFLAGS)))
say = $(if $(V)$(quiet),,@printf '  %-7s %s\n' '$(1)' '$(2)')

CFLAGS ?= -O2 -g
pg-cflags := $(shell $(PKG_CONFIG) --cflags libpq 2>/dev/null)
# Packages say WERROR=0: a compiler newer than ours may know a warning more.
WERROR ?= 1
werror := $(if $(filter 0,$(WERROR)),,-Werror)
warn := -Wall -Wextra $(werror) -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wvla -Wformat=2 -Wno-unused-parameter
comma := ,
# The flags of an image's build system may choose a level of fortification, or no optimisation.
hardening = -fstack-protector-strong -fPIE \
	$(if $(SAN)$(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(filter -O0,$(CFLAGS)),,-D_FORTIFY_SOURCE=2)
san := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
all_cflags = -std=gnu11 -D_GNU_SOURCE -DHG_VERSION=\"$(VERSION)\" \
	-DHG_SYSCONFDIR=\"$(SYSCONFDIR)\" -DHG_BPFDIR=\"$(BPFDIR)\" -DHG_DATADIR=\"$(DATADIR)\" \
	$(pg-cflags) \
	$(warn) $(hardening) $(san) $(CPPFLAGS) $(CFLAGS)
all_ldflags = -pie -Wl,-z,relro,-z,now $(san) $(LDFLAGS)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
programs :=
tests :=
objects :=

# $(call keep,TEXT): write TEXT to the target if it says something else; what depends on the
# target is then built again. By this a change of flags, and a file that was removed, count.
keep = @mkdir -p $(@D); new='$(subst ','\'',$(1))'; \
	printf '%s\n' "$$new" | cmp -s - $@ || printf '%s\n' "$$new" >$@

# $(call program,NAME,SOURCES,LIBRARIES): $(O)/NAME from SOURCES and libhg.a.
# A NAME that begins with tests/ is built by `make tests`, the others by `make all`.
define program
$(if $(filter tests/%,$(1)),tests,programs) += $(O)/$(1)
objects += $(patsubst %.c,$(O)/%.o,$(2))
$(O)/$(1).link: FORCE
	$$(call keep,$(2) $(3))
$(O)/$(1): $(patsubst %.c,$(O)/%.o,$(2)) $(O)/libhg.a $(O)/$(1).link
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(all_ldflags) -o $$@ $(patsubst %.c,$(O)/%.o,$(2)) $(O)/libhg.a $(3)
endef

include lib/build.mk
include ebpf/build.mk
include userspace/build.mk
include mirror/build.mk
include collector/build.mk
include tests/build.mk

.PHONY: all ebpf agent profile dkms mirror collector tests demo check bench bench-accuracy lint install uninstall clean help
all: $(programs) ebpf
agent: $(O)/heliographd $(O)/heliograph $(libheliograph) $(O)/libheliograph.a
profile: $(O)/heliograph-profile
dkms: # sources only
mirror: $(O)/heliograph-mirror
collector: $(O)/heliograph-collector
tests: all $(tests)

# A change of flags, version or compiler rebuilds what depends on it.
flags = $(CC) $(all_cflags) $(all_ldflags) $(CLANG) $(bpf-flags) \
	$(foreach v,$(sort $(filter cflags-%,$(.VARIABLES))),$(v)=$($(v)))
$(O)/.flags: FORCE
	$(call keep,$(flags))
.PHONY: FORCE
FORCE:

$(O)/%.o: %.c $(O)/.flags
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) $(cflags-$*) -MMD -MP -c -o $@ $<

objects += $(patsubst %.c,$(O)/%.o,$(lib-srcs))
$(O)/libhg.a.link: FORCE
	$(call keep,$(lib-srcs))
$(O)/libhg.a: $(patsubst %.c,$(O)/%.o,$(lib-srcs)) $(O)/libhg.a.link
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

-include $(patsubst %.o,%.d,$(sort $(objects)))

# How each file is compiled, for clang-tidy, cppcheck and editors.
entry = {"directory":"$(CURDIR)","file":"$(1)","command":"$(subst ",\",$(subst \,\\,$(2))) -c $(1)"}
c-files = $(patsubst $(O)/%.o,%.c,$(sort $(objects)))
$(O)/compile_commands.json: $(O)/.flags FORCE
	@: $(file >$@,[$(subst } {,}$(comma){,$(strip \
		$(foreach f,$(c-files),$(call entry,$(f),$(CC) $(all_cflags) $(cflags-$(f:.c=)))) \
		$(foreach f,$(bpf-objs:$(O)/%.o=%.c),$(call entry,$(f),$(CLANG) $(bpf-flags)))))])

# Set-up belongs to the two commands a newcomer types; builds for an image call `make all`.
demo:
	$(Q)scripts/deps build run
	$(Q)$(MAKE) --no-print-directory all
	$(Q)scripts/demo

check:
	$(Q)scripts/deps build run test
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/run $(if $(SAN),--san) --build $(O) $(T)

# The module and the device's programs in QEMU on other architectures and kernels; ARCH='6.1:malta ...'
# for some of the rows that tests/vm/arch names.
check-arch:
	$(Q)scripts/deps build run test arch
	$(Q)$(MAKE) --no-print-directory all
	$(Q)HG_VERBOSE=1 HG_ARCH='$(ARCH)' HG_FILE_LIMIT=5400 HG_SUITE_LIMIT=5400 tests/run --build $(O) tests/vm/arch

# All captures of HG_DATA, in user space, in BPF and in the module; 'make check' takes the short ones.
check-captures:
	$(Q)scripts/deps build run test
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)HG_VERBOSE=1 HG_CAPTURES=all HG_FILE_LIMIT=20000 HG_SUITE_LIMIT=20000 tests/run --build $(O) \
		tests/kmod/captures.t

# The module in kernels that complain, which are built first: half an hour, 4 GB. HG_DEBUG_LONG=1
# for all that a release wants.
check-debug:
	$(Q)scripts/deps build run test debug
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/vm/debug-kernel uml x86 >/dev/null
	$(Q)HG_FILE_LIMIT=20000 HG_SUITE_LIMIT=20000 tests/run --build $(O) tests/kmod/debug

# B='sync herd' for some; DOCS=1 puts the tables and pictures into docs/.
bench:
	$(Q)scripts/deps build run test bench
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)tests/bench/run --build $(O) $(if $(DOCS),--docs) $(B)

# Rewrites the tables of docs/accuracy.md; the captures are looked for in HG_DATA.
bench-accuracy:
	$(Q)scripts/deps build run test
	$(Q)$(MAKE) --no-print-directory agent
	$(Q)tests/accuracy/run --build $(O) --docs docs/accuracy.md

# The fault campaign in its long form; the short one is tests/e2e/faults.t. HG_FAULTS_SEED= repeats one.
.PHONY: faults
HG_FAULTS_SESSIONS ?= 5000
faults:
	$(Q)scripts/deps build run test
	$(Q)$(MAKE) --no-print-directory tests
	$(Q)HG_FAULTS_SESSIONS=$(HG_FAULTS_SESSIONS) HG_VERBOSE=1 HG_FILE_LIMIT=3600 HG_SUITE_LIMIT=3600 \
		tests/run --build $(O) tests/e2e/faults.t

# testssl.sh against a mirror, see docs/tls.md; half a minute.
.PHONY: testssl
testssl: mirror
	$(Q)scripts/testssl --build $(O)

# The sync protocol's model, searched whole; needs no build. 'make check' has a short form.
.PHONY: model
model:
	$(Q)scripts/deps model
	$(Q)docs/model/run --out $(O)/model

lint:
	$(Q)scripts/deps build lint
	$(Q)$(MAKE) --no-print-directory tests $(O)/compile_commands.json
	$(Q)scripts/lint --build $(O) $(T)

places = bin='$(BINDIR)' sbin='$(SBINDIR)' bpf='$(BPFDIR)' data='$(DATADIR)' man='$(MANDIR)' \
	conf='$(SYSCONFDIR)/heliograph' unit='$(UNITDIR)' sysusers='$(SYSUSERSDIR)' \
	lib='$(LIBDIR)' include='$(INCLUDEDIR)' src='$(SRCDIR)'
# An image takes what it needs: each part builds and installs without the libraries of the others.
installer = $(Q)scripts/install --build '$(O)' --destdir '$(DESTDIR)' $(places)
install: all
	$(installer)
parts := agent ebpf profile mirror collector dkms
.PHONY: $(parts:%=install-%)
$(parts:%=install-%): install-%: %
	$(installer) --part $*

uninstall:
	$(installer) --uninstall

# The module, against the kernel whose build directory is KDIR; ARCH=, CROSS_COMPILE= and CC= reach
# Kbuild by themselves, our O= must not. It is built on a copy, so that the tree stays clean.
KDIR ?= /lib/modules/$(shell uname -r)/build
kbuild = $(MAKE) -C '$(KDIR)' O= M='$(abspath $(O))/module/kmod'
.PHONY: kmod install-kmod
kmod:
	$(Q)mkdir -p $(O)/module && cp -a kmod core include $(O)/module/
	$(Q)$(kbuild) modules
install-kmod: kmod
	$(Q)$(kbuild) INSTALL_MOD_PATH='$(DESTDIR)' modules_install

# Only what this Makefile made: another O= is removed if it has our mark and is no checkout.
clean:
	$(Q)$(if $(filter build build/san,$(O)),,[ ! -e '$(O)/.flags' ] || [ -e '$(O)/Makefile' ] ||) rm -rf '$(O)'

help:
	@echo 'make demo        show the main job end to end (root; installs what is missing)'
	@echo 'make check       pass all tests (root; installs what is missing); T=FILE... for some, SAN=1 for sanitizers'
	@echo 'make check-arch  the module and the agent on other architectures and kernels, in QEMU; ARCH= for some'
	@echo 'make check-captures   every packet of all captures in HG_DATA through user space, BPF and module'
	@echo 'make check-debug  the kernel module under KASAN, lockdep, kmemleak and failing memory (builds kernels)'
	@echo 'make bench       measure beside peers; B=NAME... for some, DOCS=1 writes docs/performance.md'
	@echo 'make lint        style and static checks'
	@echo 'make fuzz        fuzz the parsers, FUZZ_SECONDS=60 each'
	@echo 'make model       search the model of the sync protocol with spin'
	@echo 'make testssl     testssl.sh against a mirror of its own'
	@echo 'make faults      the fault campaign, HG_FAULTS_SESSIONS=5000 sessions; HG_FAULTS_SEED= repeats one'
	@echo 'make bench-accuracy   hold learned profiles against captures, rewrite docs/accuracy.md'
	@echo 'make all         build agent, mirror, collector and the guard programs'
	@echo 'make install     DESTDIR= PREFIX= BPFDIR= SYSCONFDIR=      make uninstall, make clean'
	@echo 'make install-agent, -ebpf, -mirror, -collector, -profile, -dkms: one part, see docs/packaging.md'
	@echo 'make kmod, install-kmod   the module for the kernel of KDIR= (the running one); ARCH= CROSS_COMPILE='
	@echo 'V=1 shows commands; CROSS_COMPILE= CC= CLANG= PKG_CONFIG= O= choose tools and output'
