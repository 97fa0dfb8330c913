// SPDX-License-Identifier: Apache-2.0

// What Swift does not import: functions with variable arguments, and glibc's own. Declared without the system's types:
// a module that brings those along is taken for the one that defines them.
#pragma once

#include <stddef.h>

// Gives memory back to the system, where the library does so only when asked.
void CProcess_trim_memory(void);

// Starts `path`, with `report` as descriptor 3 and nothing open above it, in a session of its own if `detached`: the
// standard input and output of such a process are /dev/null, and what it has to say at its start still goes to the
// caller's standard error. Returns 0, or what errno would be.
int CProcess_spawn(
    const char *path, char *const arguments[], char *const environment[], int report, int detached, int *process
);

#define CProcess_most_descriptors 64

// Sends `length` bytes and, with the first of them, `count` descriptors (unix(7), SCM_RIGHTS).
ptrdiff_t CProcess_send(int socket, const void *bytes, size_t length, const int *descriptors, size_t count);

// Receives at most `length` bytes, and the descriptors that come with them into `descriptors`, which has room for
// CProcess_most_descriptors; they are closed in programs that are started.
ptrdiff_t CProcess_receive(int socket, void *bytes, size_t length, int *descriptors, size_t *count);

// The user that the process at the other end of a unix socket runs as (unix(7), SO_PEERCRED).
struct CProcess_peer {
    int pid;
    unsigned int uid;
};
int CProcess_peer(int socket, struct CProcess_peer *peer);

// openat2(2) for reading, with O_CLOEXEC, O_NONBLOCK and O_NOCTTY: a name that leads out of `folder`, by dots or by
// links, is not opened (EXDEV), and a FIFO is not waited for.
int CProcess_open_beneath(int folder, const char *name);
