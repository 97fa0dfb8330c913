# SPDX-License-Identifier: Apache-2.0
"""What the two clients ask of the system while they carry content, as strace sees it."""

import collections
import re

import pytest

from harness import content

SMALL_FILES = 2_000
LARGE = 24 << 20
#: A call: its thread, its name, and the file that its first descriptor belongs to.
CALL = re.compile(r"^(\d+) +(\w+)\(\d+<([^>]*)>", re.MULTILINE)
WAITS = "epoll_wait,epoll_pwait"
TRANSFERS = "read,readv,pread64,preadv,preadv2,write,writev,pwrite64,pwritev,copy_file_range,sendfile,splice"


@pytest.fixture
def people(relay, tmp_path):
    """A sender and a receiver."""
    return relay.person("alice", tmp_path), relay.person("bob", tmp_path)


def traced(folder, name, calls):
    """A command line's start that writes these calls down, and the file that they are in."""
    path = folder / f"{name}.calls"
    return ("strace", "-f", "-y", "-s", "0", "-o", path, "-e", f"trace={calls}"), path


@pytest.mark.slow
def test_many_small_files_are_made_durable_together(people, tmp_path):
    alice, bob = people
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(SMALL_FILES):
        (folder / f"{number:04}").write_bytes(b"%d" % number)
    prefix, path = traced(tmp_path, "receive", f"syncfs,fsync,fdatasync,sync_file_range,{TRANSFERS}")
    receiving = bob.receive(sender=alice.name, prefix=prefix)
    alice.send(bob, folder).expect(0, 60)
    receiving.expect(0, 20)
    assert len(list((bob.inbox / "many").iterdir())) == SMALL_FILES
    calls = CALL.findall(path.read_text())
    made = collections.Counter(name for _, name, _ in calls if "sync" in name)
    # One for each part of the tree that became durable, which is each second at most, and those of profile and folders.
    assert 1 <= made["syncfs"] <= SMALL_FILES // 100, made
    assert sum(made.values()) <= SMALL_FILES // 20, made
    # And as few records are in the journal.
    records = sum(name.startswith(("write", "pwrite")) and file.endswith("/journal") for _, name, file in calls)
    assert 1 <= records <= SMALL_FILES // 20, records


def test_no_event_loop_reads_or_writes_content(people, tmp_path):
    alice, bob = people
    film = tmp_path / "film.mkv"
    digest = content.file(film, "system calls", LARGE)
    begins = {who: traced(tmp_path, who, f"{WAITS},{TRANSFERS}") for who in ("send", "receive")}
    receiving = bob.receive(sender=alice.name, prefix=begins["receive"][0])
    alice.send(bob, film, prefix=begins["send"][0]).expect(0, 60)
    receiving.expect(0, 20)
    assert content.sha256(bob.inbox / "film.mkv") == digest
    for who, where in (("send", str(film)), ("receive", f"{bob.inbox}/")):
        calls = CALL.findall(begins[who][1].read_text())
        loops = {thread for thread, name, _ in calls if name in WAITS.split(",")}
        on_content = [(thread, name) for thread, name, file in calls if file.startswith(where) and name not in WAITS]
        assert loops and on_content, (who, len(calls))
        assert not [call for call in on_content if call[0] in loops], (who, loops)
