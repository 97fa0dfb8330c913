# SPDX-License-Identifier: Apache-2.0
"""Content that is quick to make, cannot be compressed, and differs for each seed."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .types import Path

BLOCK = 1 << 20
MiB = 1 << 20
GiB = 1 << 30


def blocks(seed: object, size: int, block: int = BLOCK) -> Iterator[bytes]:
    """Yields `size` pseudo-random bytes (AES-CTR of zeros, some GB/s) in blocks."""
    key = hashlib.sha256(f"content {seed}".encode()).digest()[:16]
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    zeros = bytes(block)
    while size > 0:
        yield stream.update(zeros[: min(block, size)])
        size -= block


def data(seed: object, size: int) -> bytes:
    """The same as one value."""
    return b"".join(blocks(seed, size))


def file(path: Path, seed: object, size: int) -> str:
    """Writes a file of `size` bytes and returns its SHA-256 in hex."""
    digest = hashlib.sha256()
    with open(path, "wb") as out:
        for block in blocks(seed, size):
            out.write(block)
            digest.update(block)
    return digest.hexdigest()


def sha256(path: Path | bytes) -> str:
    """The SHA-256 of a file, in hex."""
    with open(path, "rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def sizes(folder: Path) -> Iterator[int]:
    """The size of each file below `folder`, while others write and remove files there."""
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                yield os.lstat(os.path.join(where, name)).st_size


def largest(folder: Path) -> int:
    """How large the largest file below `folder` is, while others write and remove files there."""
    return max(sizes(folder), default=0)


def total(folder: Path) -> int:
    """How large all files below `folder` are together, while others write and remove files there."""
    return sum(sizes(folder))


def listing(folder: Path) -> dict[bytes, int]:
    """Everything below `folder`, in which no process writes any more: relative path (bytes) to size."""
    found = {}
    root = os.fsencode(folder)
    for where, folders, files in os.walk(root):
        for name in files + folders:
            path = os.path.join(where, name)
            found[os.path.relpath(path, root)] = os.lstat(path).st_size
    return found
