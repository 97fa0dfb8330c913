# SPDX-License-Identifier: Apache-2.0
"""File systems that refuse more than the one that is there, by a preloaded library."""

import pathlib
import subprocess

COLONS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#define OPEN_AT(name)                                                                        \
    int name(int folder, const char *path, int flags, ...) {                                 \
        va_list arguments;                                                                   \
        va_start(arguments, flags);                                                          \
        int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;                             \
        va_end(arguments);                                                                   \
        if (flags & O_CREAT && strchr(path, ':')) { errno = EINVAL; return -1; }             \
        return ((int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name))(folder, path, flags, mode); \
    }
OPEN_AT(openat)
OPEN_AT(openat64)
"""

REMOVAL = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int unlinkat(int folder, const char *path, int flags) {
    struct stat status;
    if (!strcmp(path, "NAME") && !fstatat(folder, path, &status, AT_SYMLINK_NOFOLLOW) && status.st_size) {
        errno = EACCES;
        return -1;
    }
    return ((int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat"))(folder, path, flags);
}
"""


def without_colons(folder: pathlib.Path) -> dict[str, str]:
    """The environment of a program to which all file systems are like those of Windows: file names with a colon are
    refused, as on exFAT. Compiles a library into `folder`."""
    return _preloaded(folder / "without-colons.so", COLONS)


def without_removal(folder: pathlib.Path, name: str) -> dict[str, str]:
    """The same where files of that name cannot be removed, unless they are empty."""
    return _preloaded(folder / "without-removal.so", REMOVAL.replace("NAME", name))


def _preloaded(library: pathlib.Path, source: str) -> dict[str, str]:
    command: list[str | pathlib.Path] = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=source, text=True, check=True, capture_output=True)
    return {"LD_PRELOAD": str(library)}
