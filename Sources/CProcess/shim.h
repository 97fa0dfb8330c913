// SPDX-License-Identifier: Apache-2.0

// Swift does not import functions with variable arguments.
#include <sys/prctl.h>

static inline int CProcess_set_not_dumpable(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }
