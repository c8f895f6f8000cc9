#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""The minimal image of image.py, guarded by the kernel module."""
import image

image.main("module")
