// SPDX-License-Identifier: Apache-2.0
// Calls of the Linux kernel that glibc declares only under _GNU_SOURCE, which Swift's Glibc module is built without.
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

// renameat2(2) with RENAME_NOREPLACE.
static inline int CLinux_rename_noreplace(int folder, const char *from, int target, const char *to) {
    return (int)syscall(SYS_renameat2, folder, from, target, to, 1u);
}

// O_PATH: a folder that may be walked through needs no permission to be read.
enum { CLinux_path_only = 010000000 };

// What lseek(2) takes to find where content and holes begin.
enum { CLinux_seek_data = 3, CLinux_seek_hole = 4 };

// fallocate(2) with FALLOC_FL_KEEP_SIZE, from the start of the file.
static inline int CLinux_reserve(int file, off_t length) {
    return (int)syscall(SYS_fallocate, file, 1, (off_t)0, length);
}

// fallocate(2) with FALLOC_FL_KEEP_SIZE, of a part of the file.
static inline int CLinux_reserve_part(int file, off_t offset, off_t length) {
    return (int)syscall(SYS_fallocate, file, 1, offset, length);
}

// fallocate(2) with FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE: gives back what was reserved there.
static inline int CLinux_punch_hole(int file, off_t offset, off_t length) {
    return (int)syscall(SYS_fallocate, file, 3, offset, length);
}

// sync_file_range(2) with SYNC_FILE_RANGE_WRITE: begins to write out a part of the file, and does not wait.
static inline int CLinux_start_write_back(int file, off_t offset, off_t length) {
    return (int)syscall(SYS_sync_file_range, file, offset, length, 2u);
}

// dup3(2) with O_CLOEXEC: the number `file` means the file `other` from now on.
static inline int CLinux_replace(int file, int other) {
    return (int)syscall(SYS_dup3, other, file, 02000000);
}

// syncfs(2)
static inline int CLinux_sync_file_system(int file) {
    return (int)syscall(SYS_syncfs, file);
}

// The type of the file system of an open file, as statfs(2) says it; 0 where it does not.
static inline long CLinux_file_system_type(int file) {
    struct statfs system;
    return fstatfs(file, &system) == 0 ? (long)system.f_type : 0;
}

// prctl(2) with PR_SET_DUMPABLE: no core dumps, and no other process of the user looks into the memory. execve(2) sets
// it back for the programs that are started.
static inline int CLinux_set_not_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

// mallopt(3), whose header would bring in others.
extern int mallopt(int, int);

// Makes the heap keep so many free bytes at its end, where it would give all but 128 KiB back to the system, and take
// blocks of up to so many bytes from there.
static inline void CLinux_keep_memory(int free, int block) {
    mallopt(-1, free);
    mallopt(-3, block);
}

// Declared here as in glibc 2.34 and later, but for the type of the actions: spawn.h, like sys/types.h, would make types
// of Swift's Glibc module this one's.
extern int posix_spawn_file_actions_addclosefrom_np(void *, int);

// Makes the child close every descriptor from `first` on, whatever opened it.
static inline int CLinux_close_from(void *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

#endif
