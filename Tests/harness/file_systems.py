# SPDX-License-Identifier: Apache-2.0
"""A file system like those of Windows, by a preloaded library: file names with a colon are refused, as on exFAT."""

import pathlib
import subprocess

SOURCE = r"""
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


def without_colons(folder: pathlib.Path) -> dict[str, str]:
    """The environment of a program to which all file systems are like that. Compiles a library into `folder`."""
    library = folder / "without-colons.so"
    command: list[str | pathlib.Path] = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=SOURCE, text=True, check=True, capture_output=True)
    return {"LD_PRELOAD": str(library)}
