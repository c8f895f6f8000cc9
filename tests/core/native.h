/* SPDX-License-Identifier: MIT */
/* The core's host in user space with room for whatever a test does. */
#ifndef HG_TESTS_NATIVE_H
#define HG_TESTS_NATIVE_H

#ifndef HG_NATIVE_FLOWS
#define HG_NATIVE_FLOWS (1 << 16)
#endif
#include "../../userspace/host-native.h"

#endif
