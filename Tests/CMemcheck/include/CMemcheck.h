// SPDX-License-Identifier: Apache-2.0
//
// What a program tells valgrind's memcheck about its own memory. The instructions are those of <valgrind/valgrind.h>,
// which is not needed to build this; to a processor they do nothing.

#ifndef CMEMCHECK_H
#define CMEMCHECK_H

#include <stddef.h>

// 1 when valgrind runs the program, and 0 when nothing does, or where the instructions are not known.
unsigned long CMemcheck_runs(void);

// From here on, memcheck reports each decision, and each address, that depends on one of the bytes.
void CMemcheck_make_secret(const void *bytes, size_t count);

// They are no secret any more.
void CMemcheck_make_public(const void *bytes, size_t count);

#endif
