# SPDX-License-Identifier: Apache-2.0
"""File systems that refuse more than the one that is there: real ones of their own, or by a preloaded library."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
from typing import Self

import pytest

from .processes import Process
from .types import Path, Word
from .waiting import until

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


class Mounted:
    """A file system on a folder, in a mount namespace of its own: only what runs with `prefix` sees it there. Everyone
    else finds it at `folder`."""

    def __init__(self, folder: Path, script: str, *, what: str = "a file system") -> None:
        self._place = pathlib.Path(folder)
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        # It ends with the standard input of the shell that has made it, at the latest.
        self._input, self._kept = os.pipe()
        self._logs = tempfile.mkdtemp(prefix="relay-mounted-")
        self._holder = Process(
            ["unshare", "--mount", *user, "sh", "-ec", f"{script}; echo mounted; read -r end", "sh", self._place],
            stdin=self._input,
            env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
            folder=self._logs,
        )
        os.close(self._input)
        until(lambda: "mounted" in self._holder.out() or not self._holder.running(), 20, what)
        if not self._holder.running():
            said = self._holder.err().strip()[-300:]
            shutil.rmtree(self._logs)
            pytest.skip(f"{what} cannot be mounted here: {said}")
        self._user = ["--user", "--preserve-credentials"] if user else []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A file system in user space goes when it is not mounted any more, and not with the namespace.
        self.run("umount", "--lazy", self._place)
        os.close(self._kept)
        self._holder.wait(10)
        shutil.rmtree(self._logs)

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that is to see it."""
        return ["nsenter", "--target", str(self._holder.pid), "--mount", *self._user]

    @property
    def folder(self) -> pathlib.Path:
        """Where everyone sees it."""
        return pathlib.Path(f"/proc/{self._holder.pid}/root{self._place}")

    def run(self, *command: Word) -> None:
        """Runs a command in there."""
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        done = subprocess.run(
            [*self.prefix, *command], check=False, capture_output=True, timeout=20, env={"PATH": path}
        )
        assert done.returncode == 0, done

    def free(self) -> int:
        """Bytes that are left."""
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def fill(self, but: int = 0) -> pathlib.Path:
        """Takes all the room that is left, but so many bytes; returns the file to remove."""
        filler = self.folder / "filler"
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free() - but)
        return filler


def memory(folder: Path, options: str) -> Mounted:
    """One in memory, with `options` such as its size."""
    return Mounted(folder, f'mount -t tmpfs -o {options} tmpfs "$1"', what="tmpfs")


def small(folder: Path, size: str) -> Mounted:
    """ext4, on a disk of that size, such as 64M."""
    return _of_an_image(folder, "mkfs.ext4 -q", 'mount "$device" "$1"', "ext4", size=size)


def folding(folder: Path) -> Mounted:
    """exFAT: a name in capitals and one without are the same."""
    return _of_an_image(folder, "mkfs.exfat", 'mount.exfat-fuse "$device" "$1"', "exFAT")


def limited(folder: Path, quota: str) -> Mounted:
    """btrfs with much room, of which what is in this folder may have only `quota`, such as 8M."""
    script = (
        'mount "$device" "$1"; btrfs quota enable "$1"; btrfs subvolume create "$1/inbox"; '
        f'btrfs qgroup limit {quota} "$1/inbox"'
    )
    return _of_an_image(folder, "mkfs.btrfs -q", script, "btrfs with a quota", size="400M")


def _of_an_image(folder: Path, make: str, mount: str, what: str, size: str = "256M") -> Mounted:
    # The image is gone with its last use, and so is the device.
    script = (
        f'image=$(mktemp); truncate -s {size} "$image"; {make} "$image" >/dev/null; '
        'device=$(losetup --find --show "$image"); rm "$image"; '
        f'{{ {mount}; }} >&2 || {{ losetup -d "$device"; exit 1; }}; losetup -d "$device"'
    )
    return Mounted(folder, script, what=what)
