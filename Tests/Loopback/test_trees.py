# SPDX-License-Identifier: Apache-2.0
"""Folders with many files arrive as they were, in memory that does not grow with them."""

import os
import shutil

import pytest

from proofs import trees


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize(("files", "folders", "size"), [(5000, 100, 4096), (20_000, 200, 0)])
def test_a_folder_of_many_files_arrives_as_it_was(own_relay, large, files, folders, size):
    relay = own_relay(registration="open", level="notice")
    most = trees.MEMORY
    outcome = trees.measured(
        relay, large, files=files, folders=folders, size=size, rounds=1, most_memory=most, compares=False
    )
    print(outcome.table())
    assert list(outcome.problems()) == []


def changed_content(top):
    path = next(top.rglob("file-*"))
    status = path.stat()
    path.write_bytes(b"x" + path.read_bytes()[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def changed_time(top):
    os.utime(next(top.rglob("file-*")), ns=(0, 0))


def changed_time_of_a_folder(top):
    os.utime(top, ns=(0, 0))


@pytest.mark.parametrize(
    "change",
    [
        changed_content,
        changed_time,
        changed_time_of_a_folder,
        lambda top: next(top.rglob("file-*")).unlink(),
        lambda top: next(top.rglob("empty")).rmdir(),
        lambda top: (top / "more").mkdir(),
    ],
)
def test_every_difference_between_trees_is_seen(tmp_path, change):
    trees.make(tmp_path / "one", 40, 8, 100)
    shutil.copytree(tmp_path / "one", tmp_path / "other", copy_function=shutil.copy2)
    assert trees.difference(tmp_path / "one", tmp_path / "other") is None
    change(tmp_path / "other")
    assert trees.difference(tmp_path / "one", tmp_path / "other") is not None
