# SPDX-License-Identifier: Apache-2.0
"""What the file system of the receiver does to a transfer: names that it takes for the same, a quota, a full disk, a
folder that goes or may not be written to. Both sides hear of it, what came is kept, and it goes on."""

import json
import os
import re
import shutil
import signal

import pytest

from harness import content, file_systems
from harness.mortal import mortal
from harness.relay import PART
from harness.terminal import Terminal
from harness.waiting import until

IO, NO_OUTPUT = 74, 73
MiB = content.MiB


def names(folder):
    """What is in a folder, as bytes."""
    return sorted(os.listdir(os.fsencode(folder)))


def transfers(person, *arguments, **options):
    """`relay-client transfers`."""
    return person.run("transfers", *arguments, "--profile", person.profile, profile=False, **options)


def resumable(process):
    """The ID with which a process says that the transfer goes on."""
    (id,) = set(re.findall(r"transfers resume (\S+)", process.err()))
    return id


def slow(sender, rate):
    """Lets the relay move no more of what `sender` sends, so that it is not over before a test acts."""
    assert sender.relay.command("users", "limit", sender.name, f"rate={rate}").returncode == 0


def folder_of_files(top, count, size):
    """A folder of files each too small for its room to be asked for in advance."""
    top.mkdir()
    for number in range(count):
        content.file(top / f"{number:04}.bin", f"{top.name} {number}", size)
    return top


def assert_same(one, other):
    """Two folders hold the same."""
    assert content.listing(one) == content.listing(other)
    for name in content.listing(one):
        path = os.path.join(os.fsencode(one), name)
        if os.path.isfile(path):
            assert content.sha256(path) == content.sha256(os.path.join(os.fsencode(other), name)), name


# Names


@pytest.mark.parametrize(
    ("pair", "where"),
    [(("Name", "name"), "top/name"), (("\u00c9t\u00e9", "\u00e9t\u00e9"), "top/\u00e9t\u00e9")],
    ids=["capitals", "accents"],
)
def test_names_that_are_one_to_the_file_system_are_refused_before_content_flows(people, tmp_path, pair, where):
    alice, bob = people("alice", "bob")
    top = tmp_path / "top"
    top.mkdir()
    for name in pair:
        content.file(top / name, name, 20_000_000)
    with file_systems.folding(bob.inbox) as disk:
        before = disk.free()
        receiving = bob.receive(prefix=disk.prefix, sender=alice.name)
        sending = alice.send(bob, top).expect(NO_OUTPUT, 20)
        receiving.expect(NO_OUTPUT, 10)
        assert names(disk.folder) == [] and disk.free() == before
    said = f'cannot make "{where}": the file system of "{bob.inbox}" takes its name and another one for the same'
    assert said in receiving.err() and "--output" in receiving.err(), receiving.tail()
    assert f"{bob.name} cannot store it" in sending.err(), sending.tail()


def test_two_files_that_are_one_to_the_file_system_are_not_asked_about(people, tmp_path):
    alice, bob = people("alice", "bob")
    for name in ("Name", "name"):
        (tmp_path / name).write_bytes(b"x")
    with file_systems.folding(bob.inbox) as disk:
        terminal = Terminal()
        receiving = bob.run("receive", "--output", bob.inbox, prefix=disk.prefix, **terminal.streams())
        terminal.started()
        bob.wait_online(receiving)
        alice.send(bob, tmp_path / "Name", tmp_path / "name").expect(NO_OUTPUT, 20)
        terminal.wait_for("takes its name and another one for the same")
        assert "[y/N]" not in terminal.seen() and names(disk.folder) == []
        receiving.kill()


def test_a_tree_arrives_where_capitals_do_not_count(people, tmp_path):
    """Also when its receiver is killed, and what was received before keeps its name."""
    alice, bob = people("alice", "bob")
    top = folder_of_files(tmp_path / "Top", 60, 900_000)
    (top / "empty").mkdir()
    with file_systems.folding(bob.inbox) as disk:
        (disk.folder / "TOP").mkdir()
        (disk.folder / "TOP" / "mine").write_bytes(b"mine")
        slow(alice, "16M")
        receiving = bob.receive(prefix=disk.prefix, sender=alice.name)
        sending = alice.send(bob, top)
        until(lambda: content.total(disk.folder) > 10_000_000, 20, "a part of it")
        receiving.kill()
        slow(alice, "off")
        receiving = bob.receive(prefix=disk.prefix, sender=alice.name, ready=False)
        sending.expect(0, 40)
        receiving.expect(0, 10)
        assert names(disk.folder) == [b"TOP", b"Top (1)"]
        assert_same(top, disk.folder / "Top (1)")
        assert (disk.folder / "TOP" / "mine").read_bytes() == b"mine"


# Room


def test_a_quota_that_is_met_is_told_to_both_and_goes_on_when_it_is_raised(people, tmp_path):
    """The disk has room: neither side can know before."""
    alice, bob = people("alice", "bob")
    top = folder_of_files(tmp_path / "top", 40, 900_000)
    with file_systems.limited(bob.inbox, "20M") as disk:
        inbox = disk.folder / "inbox"
        receiving = bob.receive(prefix=disk.prefix, output=bob.inbox / "inbox", sender=alice.name)
        sending = alice.send(bob, top).expect(IO, 20)
        receiving.expect(IO, 10)
        assert_full(sending, receiving, bob, inbox)
        came = content.total(inbox)
        assert came > 10_000_000
        disk.run("btrfs", "qgroup", "limit", "none", bob.inbox / "inbox")
        goes_on(alice, bob, receiving, sending, disk, top, inbox)


def assert_full(sending, receiving, bob, inbox):
    """Both sides were told that there is no room, and what came is kept."""
    assert f"{bob.name} has no room for it; ask {bob.name} to make room" in sending.err(), sending.tail()
    (line,) = [line for line in receiving.err().splitlines() if line.startswith("not received")]
    assert "is full" in line and "make room" in line, line
    assert all(PART.fullmatch(name) for name in names(inbox)) and names(inbox), names(inbox)
    assert resumable(receiving) == resumable(sending)


def goes_on(alice, bob, receiving, sending, disk, top, inbox):
    """Now that there is room, `transfers resume` on both sides brings what is missing and no more."""
    id = resumable(receiving)
    (listed,) = transfers(bob, "list", "--json", prefix=disk.prefix).expect(0, 10).out().splitlines()
    listed, size = json.loads(listed), sum(content.listing(top).values())
    # What is durable may be less than what is here.
    assert 0 <= listed["bytes"] < listed["size"] == size, listed
    (part,) = inbox.glob(".relay-*.part")
    first = (part / "content" / top.name / "0000.bin").stat()
    receiving = transfers(bob, "resume", id, prefix=disk.prefix)
    bob.wait_online(receiving)
    sending = transfers(alice, "resume", resumable(sending)).expect(0, 40)
    receiving.expect(0, 10)
    assert "going on with" in sending.err() and "going on with" in receiving.err(), receiving.tail()
    assert names(inbox) == [os.fsencode(top.name)]
    assert_same(top, inbox / top.name)
    # It is the one that came the first time.
    stored = (inbox / top.name / "0000.bin").stat()
    assert (stored.st_ino, stored.st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


def test_a_disk_that_fills_up_midway_is_told_to_both_and_goes_on_when_there_is_room(people, tmp_path):
    alice, bob = people("alice", "bob")
    top = folder_of_files(tmp_path / "top", 80, 900_000)
    with file_systems.memory(bob.inbox, "size=160m") as disk:
        slow(alice, "16M")
        receiving = bob.receive(prefix=disk.prefix, sender=alice.name)
        sending = alice.send(bob, top)
        until(lambda: content.total(disk.folder) > 5_000_000, 20, "a part of it")
        receiving.signal(signal.SIGSTOP)
        filler = disk.fill(4 * MiB)
        receiving.signal(signal.SIGCONT)
        slow(alice, "off")
        sending.expect(IO, 20)
        receiving.expect(IO, 10)
        kept = [name for name in names(disk.folder) if name != b"filler"]
        assert all(PART.fullmatch(name) for name in kept) and kept, kept
        filler.unlink()
        assert_full(sending, receiving, bob, disk.folder)
        goes_on(alice, bob, receiving, sending, disk, top, disk.folder)


def test_a_disk_without_room_for_more_files_is_told_to_both_and_goes_on_when_there_is(people, tmp_path):
    alice, bob = people("alice", "bob")
    top = folder_of_files(tmp_path / "top", 900, 100)
    with file_systems.memory(bob.inbox, "size=64m,nr_inodes=600") as disk:
        receiving = bob.receive(prefix=disk.prefix, sender=alice.name)
        sending = alice.send(bob, top).expect(IO, 20)
        receiving.expect(IO, 10)
        assert_full(sending, receiving, bob, disk.folder)
        disk.run("mount", "-o", "remount,nr_inodes=5000", bob.inbox)
        goes_on(alice, bob, receiving, sending, disk, top, disk.folder)


@pytest.mark.slow
@pytest.mark.parametrize("existing", [(), ("--skip-existing",)], ids=["new", "skip-existing"])
def test_a_sparse_file_needs_no_room_for_its_holes(people, tmp_path, existing):
    """Neither to be accepted nor while it comes: it is longer than the disk, and what is in it fits."""
    alice, bob = people("alice", "bob")
    image = tmp_path / "disk.img"
    with open(image, "wb") as file:
        for start in (0, 700 * MiB):
            file.seek(start)
            file.write(content.data(start, 4 * MiB))
        file.truncate(1_000 * MiB)
    with file_systems.small(bob.inbox, "64M") as disk:
        before = disk.free()
        terminal = Terminal()
        options = ("--once", "--output", bob.inbox, *existing)
        receiving = bob.run("receive", *options, prefix=disk.prefix, **terminal.streams())
        terminal.started()
        bob.wait_online(receiving)
        sending = alice.send(bob, image)
        terminal.wait_for("of which it takes at least 8.")
        assert '"disk.img" (1.05 GB)' in terminal.seen(), terminal.seen()
        terminal.type("y\n")
        sending.expect(0, 60)
        receiving.expect(0, 10)
        assert content.sha256(disk.folder / "disk.img") == content.sha256(image)
        assert before - disk.free() < 12 * MiB


def test_what_is_no_hole_of_a_sparse_file_is_refused_where_it_does_not_fit(people, tmp_path):
    alice, bob = people("alice", "bob")
    image = tmp_path / "disk.img"
    content.file(image, "image", 80 * MiB)
    os.truncate(image, 1_000 * MiB)
    with file_systems.small(bob.inbox, "64M") as disk:
        receiving = bob.receive(prefix=disk.prefix, sender=alice.name)
        sending = alice.send(bob, image).expect(IO, 20)
        receiving.expect(IO, 10)
        assert not list(disk.folder.glob(".relay*"))
    assert '"disk.img" needs 83.9 MB' in receiving.err() and "left: make room" in receiving.err(), receiving.tail()
    assert f"{bob.name} has no room for it" in sending.err(), sending.tail()


# A folder that goes


def test_a_folder_that_is_removed_midway_is_told_to_both(people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "film.mkv", "removed", 300_000_000)
    slow(alice, "64M")
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, tmp_path / "film.mkv")
    until(lambda: content.largest(bob.inbox) > 0, 20, "a part of it")
    receiving.signal(signal.SIGSTOP)
    shutil.rmtree(bob.inbox)
    receiving.signal(signal.SIGCONT)
    sending.expect(NO_OUTPUT, 30)
    receiving.expect((NO_OUTPUT, IO), 10)
    assert f"{bob.name} cannot store it" in sending.err(), sending.tail()
    (line,) = [line for line in receiving.err().splitlines() if line.startswith("not received")]
    assert "moved or replaced while it was being received" in line or str(bob.inbox) in line, line
    assert not bob.inbox.exists()
    assert {"profile", "logs"} == {path.name for path in bob.home.iterdir()}


def test_a_folder_that_may_not_be_written_to_any_more_keeps_what_came(people, tmp_path):
    """It is whole, and has no name: once the folder may be written to, nothing is sent a second time."""
    alice, bob = people("alice", "bob")
    sha256 = content.file(tmp_path / "film.mkv", "read-only", 300_000_000)
    slow(alice, "64M")
    receiving = bob.receive(prefix=mortal(), sender=alice.name)
    sending = alice.send(bob, tmp_path / "film.mkv")
    until(lambda: content.largest(bob.inbox) > 0, 20, "a part of it")
    bob.inbox.chmod(0o555)
    sending.expect(NO_OUTPUT, 30)
    receiving.expect(NO_OUTPUT, 10)
    assert f"{bob.name} cannot store it" in sending.err(), sending.tail()
    (part,) = bob.parts()
    kept = f'cannot get its name (permission denied); it is kept as "{part / "content/film.mkv"}"'
    assert kept.lower() in receiving.err().lower(), receiving.tail()
    bob.inbox.chmod(0o755)
    receiving = transfers(bob, "resume", resumable(receiving), prefix=mortal())
    bob.wait_online(receiving)
    alice.send(bob, tmp_path / "film.mkv").expect(0, 30)
    receiving.expect(0, 10)
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == sha256
