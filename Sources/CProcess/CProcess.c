// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CProcess.h"

#include <fcntl.h>
#include <malloc.h>
#include <linux/openat2.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// malloc_trim(3) of everything there is to give back; other C libraries keep nothing for long.
void CProcess_trim_memory(void) {
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

int CProcess_spawn(
    const char *path, char *const arguments[], char *const environment[], int report, int detached, int *process
) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure) return failure;
    failure = posix_spawnattr_init(&attributes);
    if (failure) {
        posix_spawn_file_actions_destroy(&actions);
        return failure;
    }
    sigemptyset(&none);
    sigfillset(&all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (detached ? POSIX_SPAWN_SETSID : 0);
    if (detached) {
        failure = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (!failure) failure = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    }
    if (!failure) failure = posix_spawn_file_actions_adddup2(&actions, report, 3);
    if (!failure) failure = posix_spawn_file_actions_addclosefrom_np(&actions, 4);
    if (!failure) failure = posix_spawnattr_setsigmask(&attributes, &none);
    if (!failure) failure = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!failure) failure = posix_spawnattr_setflags(&attributes, flags);
    if (!failure) failure = posix_spawn(process, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

ptrdiff_t CProcess_send(
    int socket, const void *bytes, size_t length, const int *descriptors, size_t count
) {
    union { char bytes[CMSG_SPACE(sizeof(int) * CProcess_most_descriptors)]; struct cmsghdr aligned; } control;
    struct iovec part = { (void *)bytes, length };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (count > CProcess_most_descriptors) return -1;
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * count);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ptrdiff_t CProcess_receive(int socket, void *bytes, size_t length, int *descriptors, size_t *count) {
    union { char bytes[CMSG_SPACE(sizeof(int) * CProcess_most_descriptors)]; struct cmsghdr aligned; } control;
    struct iovec part = { bytes, length };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    *count = 0;
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (received < 0) return received;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t found = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < found; index++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof(int));
            if (*count < CProcess_most_descriptors) descriptors[(*count)++] = descriptor;
            else close(descriptor);
        }
    }
    return received;
}

int CProcess_peer(int socket, struct CProcess_peer *peer) {
    struct { pid_t pid; uid_t uid; gid_t gid; } found;
    socklen_t length = sizeof found;
    if (getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, &found, &length) != 0) return -1;
    peer->pid = found.pid;
    peer->uid = found.uid;
    return 0;
}

int CProcess_open_beneath(int folder, const char *name) {
    struct open_how how = { 02004400, 0, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    return (int)syscall(SYS_openat2, folder, name, &how, sizeof how);
}
