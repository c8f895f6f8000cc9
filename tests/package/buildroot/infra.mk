# SPDX-License-Identifier: MIT
# As much of Buildroot's package infrastructure as package/buildroot uses, written anew for
# buildroot.t after its manual: it copies the sources, runs the commands of each step with the
# machine's own compiler in Buildroot's order, and prints what would go into its tables. It shows
# that the recipe's commands work and fit together, not that Buildroot takes them.
#
#   make -f infra.mk WORK=DIR BR2_EXTERNAL_HELIOGRAPH_PATH=DIR BR2_...=y heliograph|host-heliograph
BUILD_DIR = $(WORK)/build
TARGET_DIR = $(WORK)/target
STAGING_DIR = $(WORK)/staging
HOST_DIR = $(WORK)/host
INSTALL = install
HOSTCC = gcc
LINUX_MAKE_FLAGS = ARCH=x86
TARGET_MAKE_ENV = PATH=$(HOST_DIR)/bin:$(PATH)
# Words with quotes, as Buildroot has them: they reach make by the environment.
TARGET_CONFIGURE_OPTS = CC="gcc" AR="ar" CFLAGS="-O0 -D_FORTIFY_SOURCE=0" CPPFLAGS="-DTOY=1" LDFLAGS="" \
	PKG_CONFIG="pkg-config"
HOST_MAKE_ENV = $(TARGET_MAKE_ENV)
HOST_CONFIGURE_OPTS = CC="$(HOSTCC)" CFLAGS="-O0" PKG_CONFIG="pkg-config"
HOST_CFLAGS = -O0
qstrip = $(strip $(subst ",,$(1)))
KCONFIG_ENABLE_OPT = @echo fixup $(1)
upper = $(shell echo $(1) | tr a-z- A-Z_)
pkgdir = $(dir $(lastword $(MAKEFILE_LIST)))
pkgname = $(lastword $(subst /, ,$(pkgdir)))
define sep


endef

# $(call steps,NAME,VARIABLES,VARIABLES of the target's package)
define steps
$(2)_PKGDIR := $(patsubst %/,%,$(pkgdir))
.PHONY: $(1)
$(1): $(BUILD_DIR)/$(1)/.stamp
$(BUILD_DIR)/$(1)/.stamp:
	mkdir -p $$(@D) $(TARGET_DIR) $(STAGING_DIR)/usr/include $(HOST_DIR)/bin
	ln -sfn /usr/include/$$$$(gcc -print-multiarch)/asm $(STAGING_DIR)/usr/include/asm
	tar -C $$($(3)_SITE) $$($(3)_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS:/%=./%) --exclude=./.git -cf - . | tar -C $$(@D) -xf -
	@echo depends on $$($(2)_DEPENDENCIES)
	@for f in $$($(3)_LICENSE_FILES); do test -s $$(@D)/$$$$f || exit 1; done
	$$(call $(2)_LINUX_CONFIG_FIXUPS)
	$$(call $(2)_CONFIGURE_CMDS)
	+$$(call $(2)_BUILD_CMDS)
	$$(foreach h,$$($(2)_POST_BUILD_HOOKS),$$(call $$(h))$$(sep))
	$$(if $$(filter YES,$$($(2)_INSTALL_STAGING)),+$$(call $(2)_INSTALL_STAGING_CMDS))
	$$(if $(4),,+$$(call $(2)_INSTALL_TARGET_CMDS))
	$$(if $$(BR2_INIT_SYSTEMD),$$(call $(2)_INSTALL_INIT_SYSTEMD),$$(if $(4),,$$(call $(2)_INSTALL_INIT_SYSV)))
	$$(foreach h,$$($(2)_POST_INSTALL_TARGET_HOOKS),$$(call $$(h))$$(sep))
	$$(if $(4),+$$(call $(2)_INSTALL_CMDS))
	@: $$(info users:$$($(2)_USERS)) $$(info permissions:$$($(2)_PERMISSIONS))
endef
generic-package = $(call steps,$(pkgname),$(call upper,$(pkgname)),$(call upper,$(pkgname)))
host-generic-package = $(call steps,host-$(pkgname),HOST_$(call upper,$(pkgname)),$(call upper,$(pkgname)),host)

# $(call module,VARIABLES)
define module
$(1)_DEPENDENCIES += linux
define $(1)_MODULES
	+$$(foreach d,$$($(1)_MODULE_SUBDIRS),$$(MAKE) -C $$(LINUX_DIR) $$(LINUX_MAKE_FLAGS) \
		$$($(1)_MODULE_MAKE_OPTS) PWD=$$(@D)/$$(d) M=$$(@D)/$$(d) modules)
endef
define $(1)_MODULES_INSTALL
	+$$(foreach d,$$($(1)_MODULE_SUBDIRS),$$(MAKE) -C $$(LINUX_DIR) $$(LINUX_MAKE_FLAGS) \
		$$($(1)_MODULE_MAKE_OPTS) PWD=$$(@D)/$$(d) M=$$(@D)/$$(d) \
		INSTALL_MOD_PATH=$$(TARGET_DIR) DEPMOD=true modules_install)
endef
$(1)_POST_BUILD_HOOKS += $(1)_MODULES
$(1)_POST_INSTALL_TARGET_HOOKS += $(1)_MODULES_INSTALL
endef
kernel-module = $(call module,$(call upper,$(pkgname)))

include $(BR2_EXTERNAL_HELIOGRAPH_PATH)/external.mk
