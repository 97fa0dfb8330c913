// SPDX-License-Identifier: Apache-2.0
// Calls of the Linux kernel that glibc declares only under _GNU_SOURCE, which Swift's Glibc module is built without.
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H

#include <spawn.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// renameat2(2) with RENAME_NOREPLACE, inside one directory.
static inline int CLinux_rename_noreplace(int directory, const char *from, const char *to) {
    return (int)syscall(SYS_renameat2, directory, from, directory, to, 1u);
}

// O_PATH: a folder that may be walked through needs no permission to be read.
enum { CLinux_path_only = 010000000 };

// What lseek(2) takes to find where content and holes begin.
enum { CLinux_seek_data = 3, CLinux_seek_hole = 4 };

// fallocate(2) with FALLOC_FL_KEEP_SIZE, from the start of the file.
static inline int CLinux_reserve(int file, off_t length) {
    return (int)syscall(SYS_fallocate, file, 1, (off_t)0, length);
}

// Declared here as in glibc 2.34 and later.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

// Makes the child close every descriptor from `first` on, whatever opened it.
static inline int CLinux_close_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

#endif
