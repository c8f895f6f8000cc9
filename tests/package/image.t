#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# san: no, the guest has no sanitizer's libraries
"""The minimal image of image.py, guarded by the packet programs for BPF."""
import image

image.main("bpf")
