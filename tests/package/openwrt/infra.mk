# SPDX-License-Identifier: MIT
# As much of OpenWrt's build system as package/openwrt uses, written anew for openwrt.t: rules.mk,
# kernel.mk, package.mk and bpf.mk of an INCLUDE_DIR include this file. It prepares, compiles with
# the machine's own compiler, installs each package into its own directory and prints what it
# declares. It shows that the recipe's commands work and fit together, not that OpenWrt takes them.
#
#   make -C package/openwrt/heliograph TOPDIR=DIR INCLUDE_DIR=DIR WORK=DIR CONFIG_...=y all
ifndef INFRA
INFRA := 1
.DEFAULT_GOAL := all
PKG_BUILD_DIR = $(WORK)/build
STAGING_DIR = $(WORK)/staging
STAGING_DIR_HOST = $(WORK)/staging_host
TOOLCHAIN_DIR = $(WORK)/toolchain
INSTALL_DIR = install -d -m0755
INSTALL_BIN = install -m0755
INSTALL_DATA = install -m0644
INSTALL_CONF = install -m0600
TARGET_CC = gcc
TARGET_AR = gcc-ar
TARGET_CFLAGS = -O0 -pipe -ffile-prefix-map=$(PKG_BUILD_DIR)=heliograph
TARGET_CPPFLAGS = -I$(STAGING_DIR)/usr/include -I$(TOOLCHAIN_DIR)/include
TARGET_LDFLAGS = -L$(STAGING_DIR)/usr/lib
KERNEL_MAKE = $(MAKE) -C $(LINUX_DIR) ARCH=x86 CC=$(KERNEL_CC)
CLANG = clang
LLVM_STRIP = llvm-strip
BPF_DEPENDS = @HAS_BPF_TOOLCHAIN
AutoProbe = probe $(1)

# $(call declare,NAME,DEFINE)
define declare
$$(info package $(1): $$(strip $$(subst $$(newline), ,$$($(2)))))
endef
define newline


endef

define BuildPackage
$(call declare,$(1),Package/$(1))
packages += $(1)
endef

define KernelPackage
$(call declare,kmod-$(1),KernelPackage/$(1))
$(eval $(KernelPackage/$(1)))
kernel += $$(FILES)
endef

all: compile
compile:
	mkdir -p $(STAGING_DIR)/usr/include $(STAGING_DIR)/usr/lib $(STAGING_DIR_HOST)/bin $(TOOLCHAIN_DIR)/include
	ln -sfn /usr/include/$$(gcc -print-multiarch)/asm $(TOOLCHAIN_DIR)/include/asm
	ln -sfn "$$(command -v pkg-config)" $(STAGING_DIR_HOST)/bin/pkg-config
	$(Build/Prepare)
	@for f in $(PKG_LICENSE_FILES); do test -s $(PKG_BUILD_DIR)/$$f || exit 1; done
	$(Build/Configure)
	$(Build/Compile)
	$(call Build/InstallDev,$(STAGING_DIR))
	$(foreach p,$(packages),$(if $(CONFIG_PACKAGE_$(p)),$(call Package/$(p)/install,$(WORK)/files/$(p))$(newline)))
	$(if $(CONFIG_PACKAGE_kmod-heliograph),install -D -t $(WORK)/files/kmod $(kernel))
endif
