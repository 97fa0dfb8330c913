// SPDX-License-Identifier: Apache-2.0

#include "CMemcheck.h"

#include <stdint.h>

enum {
    running_on_valgrind = 0x1001,
    // The first of memcheck's own, 'M' and 'C', makes memory inaccessible; these are the next two.
    make_mem_undefined = ('M' << 24) + ('C' << 16) + 1,
    make_mem_defined = ('M' << 24) + ('C' << 16) + 2,
};

static uintptr_t ask(uintptr_t request, uintptr_t first, uintptr_t second) {
    volatile uintptr_t arguments[6] = {request, first, second, 0, 0, 0};
    uintptr_t result = 0;
#if defined(__x86_64__)
    __asm__ volatile("rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\txchgq %%rbx, %%rbx"
                     : "=d"(result)
                     : "a"(&arguments[0]), "0"(result)
                     : "cc", "memory");
#elif defined(__aarch64__)
    __asm__ volatile("mov x3, %1\n\tmov x4, %2\n\tror x12, x12, #3\n\tror x12, x12, #13\n\tror x12, x12, #51\n\t"
                     "ror x12, x12, #61\n\torr x10, x10, x10\n\tmov %0, x3"
                     : "=r"(result)
                     : "r"(result), "r"(&arguments[0])
                     : "cc", "memory", "x3", "x4");
#endif
    return result;
}

unsigned long CMemcheck_runs(void) { return ask(running_on_valgrind, 0, 0) != 0; }

void CMemcheck_make_secret(const void *bytes, size_t count) { ask(make_mem_undefined, (uintptr_t)bytes, count); }

void CMemcheck_make_public(const void *bytes, size_t count) { ask(make_mem_defined, (uintptr_t)bytes, count); }
