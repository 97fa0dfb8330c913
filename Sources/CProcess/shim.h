// SPDX-License-Identifier: Apache-2.0

// What Swift does not import: functions with variable arguments, and glibc's own.
#include <malloc.h>
#include <sys/prctl.h>

static inline int CProcess_set_not_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

// malloc_trim(3) of everything there is to give back; other C libraries keep nothing for long.
static inline void CProcess_trim_memory(void) {
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
