/* SPDX-License-Identifier: MIT */
#ifndef HG_TESTS_VM_GUEST_H
#define HG_TESTS_VM_GUEST_H

void die(const char *what);

/* Prints "probed N answered M" and the first answers; returns 0 if the device could be asked. */
int probe(const char *interface, const char *source, const char *device, int port);

/* count SYNs to random addresses, rate each second. */
int scan(int count, int rate);

#endif
