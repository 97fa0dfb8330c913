# SPDX-License-Identifier: Apache-2.0
"""`receive --overwrite`: what is there is replaced by what is whole and verified, and by nothing else."""

import json
import os
import threading

import pytest

from harness import content
from harness.terminal import Terminal
from harness.waiting import until


@pytest.fixture
def both(people):
    return people("alice", "bob")


def received(process):
    """The event that ends a transfer."""
    events = [json.loads(line) for line in process.out().splitlines()]
    return next(event for event in events if event["event"] == "received")


def test_files_take_the_places_of_those_of_their_names(both, tmp_path):
    alice, bob = both
    (tmp_path / "plan.txt").write_text("new")
    (bob.inbox / "plan.txt").write_text("old")
    (bob.inbox / "plan.txt").chmod(0o600)
    receiving = bob.receive("--overwrite", "--json")
    alice.send(bob, tmp_path / "plan.txt").expect(0, 15)
    event = received(receiving.expect(0, 5))
    assert event["replaced"] == 1 and event["path"] == str(bob.inbox / "plan.txt"), event
    assert bob.received() == [b"plan.txt"] and (bob.inbox / "plan.txt").read_text() == "new"
    assert (bob.inbox / "plan.txt").stat().st_mode & 0o777 == 0o600
    # Without it nothing is replaced, and nothing said of that.
    receiving = bob.receive("--json")
    alice.send(bob, tmp_path / "plan.txt").expect(0, 15)
    assert "replaced" not in received(receiving.expect(0, 5))
    assert bob.received() == [b"plan (1).txt", b"plan.txt"]


def test_a_folder_goes_into_the_one_that_is_there(both, tmp_path):
    alice, bob = both
    for top, files in ((tmp_path, ("a", "deep/b", "x")), (bob.inbox, ("a", "mine", "deep/mine", "x/inside"))):
        for name in files:
            path = top / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(top))
    os.symlink(tmp_path, bob.inbox / "photos" / "link")
    (tmp_path / "photos" / "link").write_text("no link")
    receiving = bob.receive("--overwrite")
    alice.send(bob, tmp_path / "photos").expect(0, 15)
    lines = receiving.expect(0, 5).err()
    assert "1 file was replaced" in lines, lines
    assert '"photos/x" is a folder here, and stays: the file that came is stored as "x (1)"' in lines, lines
    assert '"photos/link" is a link here, and stays: the file that came is stored as "link (1)"' in lines, lines
    old, new = str(bob.inbox), str(tmp_path)
    found = {
        str(path.relative_to(bob.inbox / "photos")): path.read_text()
        for path in (bob.inbox / "photos").rglob("*")
        if path.is_file()
    }
    assert found == {
        "a": new, "mine": old, "deep/b": new, "deep/mine": old, "x/inside": old, "x (1)": new, "link (1)": "no link",
    }  # fmt: skip
    assert os.readlink(bob.inbox / "photos" / "link") == new


def test_who_looks_sees_the_old_file_or_the_new_one(both, tmp_path):
    """Also when the receiver is killed on the way, and another one goes on, that was told nothing of replacing."""
    alice, bob = both
    digest = content.file(tmp_path / "film.mkv", "a new film", 200_000_000)
    (bob.inbox / "film.mkv").write_bytes(b"an old film")
    sizes, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            sizes.add((bob.inbox / "film.mkv").stat().st_size)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        receiving = bob.receive("--overwrite", "--json")
        sending = alice.send(bob, tmp_path / "film.mkv")
        until(lambda: '"event":"progress"' in receiving.out(), 20, receiving.tail)
        receiving.kill()
        assert sending.running() and (bob.inbox / "film.mkv").read_bytes() == b"an old film"
        receiving = bob.receive("--json")
        sending.expect(0, 60)
        event = received(receiving.expect(0, 10))
    finally:
        stop.set()
        looking.join()
    assert event["replaced"] == 1 and bob.received() == [b"film.mkv"]
    assert content.sha256(bob.inbox / "film.mkv") == digest
    assert sizes == {len(b"an old film"), 200_000_000}


def test_the_question_says_what_is_replaced(both, tmp_path):
    alice, bob = both
    (tmp_path / "plan.txt").write_text("new")
    (bob.inbox / "plan.txt").write_text("old")
    for typed, left, status in (("n\n", "old", 77), ("y\n", "new", 0)):
        terminal = Terminal()
        receiving = bob.run("receive", "--once", "--overwrite", "--output", bob.inbox, **terminal.streams())
        terminal.started()
        bob.wait_online(receiving)
        sending = alice.send(bob, tmp_path / "plan.txt")
        terminal.wait_for('"plan.txt" is there already, and will be replaced')
        terminal.wait_for("[y/N]")
        assert (bob.inbox / "plan.txt").read_text() == "old"
        terminal.type(typed)
        assert sending.wait(10) == status, sending.tail()
        until(lambda text=left: (bob.inbox / "plan.txt").read_text() == text, 5, receiving.tail)
        until(lambda: bob.received() == [b"plan.txt"], 5, bob.received)
        receiving.kill()
