################################################################################
# SPDX-License-Identifier: MIT
#
# heliograph
#
################################################################################

# The tree that this directory is part of. What is copied has no checksum but that of the tree's
# own history; heliograph.hash has those of the licences, which `make legal-info` checks.
HELIOGRAPH_VERSION = $(shell cat $(BR2_EXTERNAL_HELIOGRAPH_PATH)/../../VERSION)
HELIOGRAPH_SITE = $(BR2_EXTERNAL_HELIOGRAPH_PATH)/../..
HELIOGRAPH_SITE_METHOD = local
HELIOGRAPH_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/build
HELIOGRAPH_LICENSE = \
	MIT (programs), \
	GPL-2.0 (kernel module, packet programs), \
	GPL-2.0 or MIT (core), \
	GPL-2.0 with Linux-syscall-note or MIT (uapi header)
HELIOGRAPH_LICENSE_FILES = \
	LICENSES/MIT.txt LICENSES/GPL-2.0.txt LICENSES/Linux-syscall-note.txt

# O= of Buildroot's own command line must not reach our Makefile, which has an O= too.
HELIOGRAPH_MAKE_OPTS = O=$(@D)/build WERROR=0 \
	$(if $(BR2_INIT_SYSTEMD),,UNITDIR=no SYSUSERSDIR=no)
HELIOGRAPH_PARTS =
HELIOGRAPH_DEPENDENCIES = host-pkgconf

ifeq ($(BR2_PACKAGE_HELIOGRAPH_AGENT),y)
HELIOGRAPH_PARTS += agent
HELIOGRAPH_DEPENDENCIES += inih jansson libbpf libevent libnl libpcap openssl sqlite
HELIOGRAPH_INSTALL_STAGING = YES

define HELIOGRAPH_INSTALL_STAGING_CMDS
	$(INSTALL) -D -m 0755 $(@D)/build/libheliograph.so.0 \
		$(STAGING_DIR)/usr/lib/libheliograph.so.0
	ln -sf libheliograph.so.0 $(STAGING_DIR)/usr/lib/libheliograph.so
	$(INSTALL) -D -m 0644 $(@D)/userspace/libheliograph.h \
		$(STAGING_DIR)/usr/include/libheliograph.h
endef

define HELIOGRAPH_AGENT_INIT_SYSV
	$(INSTALL) -D -m 0755 $(HELIOGRAPH_PKGDIR)/S35heliograph \
		$(TARGET_DIR)/etc/init.d/S35heliograph
endef
endif

ifeq ($(BR2_PACKAGE_HELIOGRAPH_BPF),y)
HELIOGRAPH_PARTS += ebpf
HELIOGRAPH_CLANG = $(call qstrip,$(BR2_PACKAGE_HELIOGRAPH_CLANG))
HELIOGRAPH_MAKE_OPTS += \
	CLANG=$(HELIOGRAPH_CLANG) LLVM_STRIP=$(subst clang,llvm-strip,$(HELIOGRAPH_CLANG)) \
	BPF_CPPFLAGS="-isystem $(STAGING_DIR)/usr/include"

define HELIOGRAPH_BPF_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_BPF_SYSCALL)
	$(call KCONFIG_ENABLE_OPT,CONFIG_BPF_JIT)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET_SCHED)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET_SCH_INGRESS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET_CLS_ACT)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET_CLS_BPF)
endef
endif

ifeq ($(BR2_PACKAGE_HELIOGRAPH_MIRROR),y)
HELIOGRAPH_PARTS += mirror
HELIOGRAPH_DEPENDENCIES += inih jansson libevent openssl postgresql

define HELIOGRAPH_MIRROR_INIT_SYSV
	$(INSTALL) -D -m 0755 $(HELIOGRAPH_PKGDIR)/S60heliograph-mirror \
		$(TARGET_DIR)/etc/init.d/S60heliograph-mirror
endef

define HELIOGRAPH_PERMISSIONS
	/etc/heliograph/heliograph-mirror.conf f 640 root heliograph-mirror - - - - -
endef
endif

# The group may talk to the agent's socket; PostgreSQL's peer authentication knows the user.
define HELIOGRAPH_USERS
	- -1 heliograph -1 - - - - -
	$(if $(BR2_PACKAGE_HELIOGRAPH_MIRROR),heliograph-mirror -1 heliograph-mirror -1 * - - - Heliograph mirror)
endef

define HELIOGRAPH_BUILD_CMDS
	$(if $(HELIOGRAPH_PARTS), \
		$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(MAKE) -C $(@D) \
			$(HELIOGRAPH_MAKE_OPTS) $(HELIOGRAPH_PARTS))
endef

define HELIOGRAPH_INSTALL_TARGET_CMDS
	$(if $(HELIOGRAPH_PARTS), \
		$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(MAKE) -C $(@D) \
			$(HELIOGRAPH_MAKE_OPTS) DESTDIR=$(TARGET_DIR) \
			$(addprefix install-,$(HELIOGRAPH_PARTS)))
endef

define HELIOGRAPH_INSTALL_INIT_SYSV
	$(HELIOGRAPH_AGENT_INIT_SYSV)
	$(HELIOGRAPH_MIRROR_INIT_SYSV)
endef

define HELIOGRAPH_LINUX_CONFIG_FIXUPS
	$(HELIOGRAPH_BPF_LINUX_CONFIG_FIXUPS)
	$(HELIOGRAPH_MODULE_LINUX_CONFIG_FIXUPS)
endef

ifeq ($(BR2_PACKAGE_HELIOGRAPH_MODULE),y)
HELIOGRAPH_MODULE_SUBDIRS = kmod
HELIOGRAPH_MODULE_MAKE_OPTS = CONFIG_HELIOGRAPH=m

define HELIOGRAPH_MODULE_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_NETFILTER)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CRYPTO)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CRYPTO_HMAC)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CRYPTO_SHA256)
endef

$(eval $(kernel-module))
endif

$(eval $(generic-package))

# The tool for makers. See Config.in.host for what the build machine has to have.
HOST_HELIOGRAPH_DEPENDENCIES = host-pkgconf host-openssl

define HOST_HELIOGRAPH_CONFIGURE_CMDS
	@for h in jansson.h pcap/pcap.h; do \
		echo "#include <$$h>" | $(HOSTCC) $(HOST_CFLAGS) -E -o /dev/null - || { \
			echo "host-heliograph: no <$$h> on the build machine;" \
				"Debian: apt install libjansson-dev libpcap-dev" >&2; \
			exit 1; \
		}; \
	done
endef

define HOST_HELIOGRAPH_BUILD_CMDS
	$(HOST_MAKE_ENV) $(HOST_CONFIGURE_OPTS) $(MAKE) -C $(@D) \
		O=$(@D)/build WERROR=0 profile
endef

define HOST_HELIOGRAPH_INSTALL_CMDS
	$(INSTALL) -D -m 0755 $(@D)/build/heliograph-profile \
		$(HOST_DIR)/bin/heliograph-profile
endef

$(eval $(host-generic-package))
