# SPDX-License-Identifier: MIT
include $(sort $(wildcard $(BR2_EXTERNAL_HELIOGRAPH_PATH)/package/*/*.mk))
