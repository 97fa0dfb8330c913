# SPDX-License-Identifier: Apache-2.0
"""Hostile names stay in the folder and off the terminal."""

import dataclasses
import os
import re
import tarfile
import zipfile

import pytest

from harness import content, file_systems, protocol
from harness.sealed_stream import Entry
from harness.sealed_tree import Tree, text
from harness.terminal import Terminal
from harness.waiting import background, until

# What could move a cursor, hide or reorder text: C0 but tab and newline, C1, and the marks of direction.
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def assert_harmless(process, terminal=False):
    """Nothing dangerous was printed (a carriage return is fine on a terminal)."""
    text = process.output().decode("utf-8", "replace")
    found = DANGEROUS.search(text.replace("\r\n", "\n"))
    assert not found, f"{found.group(0)!r} in {text[max(0, found.start() - 80) : found.end() + 40]!r}"


OFFERED = {
    "spaces": "  two  words  .txt",
    "newline": "line one\nline two.txt",
    "carriage return": "visible\rhidden.txt",
    "terminal escape": "\x1b]0;owned\x07\x1b[2J\x1b[31mred.txt",
    "eight bit escape": "\x9b31mred\x9d0;x\x9c.txt",
    "parent": "../escaped.txt",
    "deep parent": "../../../../../../../../tmp/escaped.txt",
    "only parent": "..",
    "only dot": ".",
    "absolute": "/tmp/absolute-escaped.txt",
    "slash inside": "folder/file.txt",
    "backslashes": "..\\..\\windows.txt",
    "trailing slash": "folder/",
    "empty": "",
    "NUL": "before\x00after.txt",
    "leading dash": "-rf",
    "two dashes": "--output=elsewhere",
    "hidden": ".bashrc",
    "255 bytes": "n" * 251 + ".txt",
    "255 bytes of emoji": "😀" * 62 + "x.txt",
    "256 bytes": "n" * 252 + ".txt",
    "3000 bytes": "n" * 3000,
    "emoji": "👩‍👩‍👧‍👦 family 🎉.txt",
    "combining": "é".encode().decode() + "e\u0301\u0301\u0301.txt",
    "right to left": "invoice\u202efdp.exe",
    "isolates": "a\u2066b\u2069c.txt",
    "arabic mark": "a\u061cb.txt",
    "zero width": "a\u200bb\ufeffc.txt",
    "line separator": "a\u2028b\u2029c.txt",
    "device": "CON",
    "alternate stream": "file.txt:stream",
    "tilde": "~/.ssh/authorized_keys",
    "variable": "$HOME`id`$(id).txt",
    "percent": "%s%n%x.txt",
    "part": "report.pdf.part",
    "private use": "\ue000\uf8ff.txt",
    "tag letters": "a\U000e0041\U000e0042.txt",
    "lone surrogate": "a\ud800b.txt",
}


# What is no name, as the format has it: every other one is made safe.
DECLINED = {
    "parent",
    "deep parent",
    "only parent",
    "only dot",
    "absolute",
    "slash inside",
    "trailing slash",
    "tilde",
    "empty",
    "NUL",
    "256 bytes",
    "3000 bytes",
    "lone surrogate",
}


@pytest.mark.parametrize("name", OFFERED, ids=[name.replace(" ", "-") for name in OFFERED])
def test_an_offered_name_is_made_safe_or_declined(relay, people, tmp_path, name):
    bob = people("bob")
    outside = content.listing(tmp_path)
    receiving = bob.receive()
    body = f"content of {name}".encode()
    with relay.client("mallory") as mallory:
        try:
            mallory.send(bob.name, Tree.named(OFFERED[name], body), timeout=15)
        except protocol.Failed as failed:
            assert failed.by == "peer", failed
            delivered = False
        else:
            delivered = True
    assert delivered is (name not in DECLINED)
    if delivered:
        receiving.expect(0, 5)
        (stored,) = bob.received()
        assert (bob.inbox / os.fsdecode(stored)).read_bytes() == body
        assert b"/" not in stored and not stored.startswith(b".") and len(stored) <= 255, stored
        assert not DANGEROUS.search(stored.decode("utf-8")), stored
        assert (bob.inbox / os.fsdecode(stored)).stat().st_mode & 0o111 == 0
        harmless = {"emoji", "255 bytes", "255 bytes of emoji", "percent", "private use", "combining", "variable"}
        if name in harmless:
            assert stored == os.fsencode(OFFERED[name])
    else:
        assert bob.received() == []
    receiving.kill()
    assert_harmless(receiving)
    inside = os.fsencode(os.path.relpath(bob.home, tmp_path))
    new = {path for path in content.listing(tmp_path) if path not in outside and not path.startswith(inside)}
    assert not new, new
    assert not os.path.exists("/tmp/escaped.txt") and not os.path.exists("/tmp/absolute-escaped.txt")


@pytest.mark.parametrize("inside", [False, True], ids=["top", "inside"])
@pytest.mark.parametrize("name", sorted(DECLINED), ids=lambda name: name.replace(" ", "-"))
def test_a_name_that_only_the_manifest_has_is_refused(relay, people, tmp_path, name, inside):
    """The person has been asked about another one."""
    bob = people("bob")
    outside = content.listing(tmp_path)
    receiving = bob.receive()
    tree = Tree.named(OFFERED[name], b"x")
    if inside:
        tree.entries = [Entry("folder", "harmless"), dataclasses.replace(tree.entries[0], parent=0)]
    with relay.client("mallory") as mallory:
        offered = mallory.offer(bob.name, tree, summary=text({**tree.summary(), "names": ["harmless"]}))
        offered.start()
        uploading = background(offered.upload)
        with pytest.raises(protocol.Failed) as failed:
            offered.delivered(10)
        assert (failed.value.by, failed.value.code) == ("peer", "protocol_error"), failed.value
        uploading.exception(10)
    receiving.expect(76, 5)
    assert_harmless(receiving)
    assert bob.stored() == []
    inside_home = os.fsencode(os.path.relpath(bob.home, tmp_path))
    assert all(path in outside or path.startswith(inside_home) for path in content.listing(tmp_path))


SENT = {
    "spaces": b"  two  words  .txt",
    "newline": b"line one\nline two.txt",
    "terminal escape": b"\x1b]0;owned\x07\x1b[31mred.txt",
    "leading dash": b"-rf",
    "two dashes": b"--help",
    "255 bytes": b"n" * 251 + b".txt",
    "emoji": "👩‍👩‍👧‍👦🎉.txt".encode(),
    "right to left": "invoice\u202efdp.exe".encode(),
    "no UTF-8": b"caf\xe9.txt",
    "eight bit escape": "a\x9b31m.txt".encode(),
}


@pytest.mark.parametrize("name", SENT, ids=[name.replace(" ", "-") for name in SENT])
@pytest.mark.parametrize("json", [False, True], ids=["plain", "json"])
def test_a_file_with_a_strange_name_is_sent(people, tmp_path, name, json):
    alice, bob = people("alice", "bob")
    folder = os.path.join(os.fsencode(tmp_path), b"strange")
    os.mkdir(folder)
    path = os.path.join(folder, SENT[name])
    with open(path, "wb") as file:
        file.write(SENT[name])
    receiving = bob.receive(*(["--json"] if json else []))
    # Behind `--`, as a person with a file called -rf would write it.
    sending = alice.send(bob, *(["--json"] if json else []), "--", path)
    status = sending.wait(15)
    assert_harmless(sending)
    if status == 0:
        receiving.expect(0, 5)
        (stored,) = bob.received()
        assert (bob.inbox / os.fsdecode(stored)).read_bytes() == SENT[name]
        if name in ("emoji", "255 bytes"):
            assert stored == SENT[name]
    else:
        # A name that cannot be said in JSON may be refused, but in so many words.
        assert name == "no UTF-8" and status == 66 and "not UTF-8" in sending.output().decode(), sending.tail()
    receiving.kill()
    assert_harmless(receiving)


def test_a_dangerous_name_in_the_message_about_a_missing_file(people, tmp_path):
    alice, bob = people("alice", "bob")
    process = alice.send(bob, "--", os.fsencode(tmp_path) + b"/\x1b[31mgone\n\xe2\x80\xae.txt").expect(66, 10)
    assert_harmless(process)
    assert process.err().strip().count("\n") == 0, process.err()


def test_a_dangerous_peer_name_is_refused_and_not_printed(people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"x")
    for name in ("\x1b[31mbob", "Bob", "b" * 64, "../bob", "", "bob\nalice", "böb"):
        process = alice.send(name, tmp_path / "file").expect(64, 10)
        assert_harmless(process)


def test_a_name_that_the_file_system_refuses_is_declined_before_bytes_flow(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "12:30.txt").write_bytes(b"noon")
    receiving = bob.receive(env=file_systems.without_colons(tmp_path), sender=alice.name)
    sending = alice.send(bob, tmp_path / "12:30.txt").expect(73, 20)
    receiving.expect(73, 20)
    said = f'cannot make "12:30.txt": the file system of "{bob.inbox}" takes no name with ":" in it; ask for the file'
    assert said in receiving.err(), receiving.tail()
    # The code says that much: why is for bob to read.
    assert f"{bob.name} cannot store it; ask {bob.name} to look" in sending.err(), sending.tail()
    assert "sending" not in sending.err() and bob.received() == []


def test_a_name_that_the_file_system_refuses_is_not_asked_about(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "12:30.txt").write_bytes(b"noon")
    terminal = Terminal()
    env = file_systems.without_colons(tmp_path)
    receiving = bob.run("receive", "--output", bob.inbox, env=env, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    alice.send(bob, tmp_path / "12:30.txt").expect(73, 20)
    terminal.wait_for("takes no name with")
    assert "[y/N]" not in terminal.seen() and bob.received() == []
    # Another name is.
    (tmp_path / "12.30.txt").write_bytes(b"noon")
    sending = alice.send(bob, tmp_path / "12.30.txt")
    terminal.wait_for("[y/N]")
    terminal.type("y\n")
    sending.expect(0, 20)
    until(lambda: bob.received() == [b"12.30.txt"], 5, bob.received)


def evil_tar(path):
    """An archive that leaves its folder, by names and by a link, when it is unpacked."""
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../escaped.txt", "/tmp/absolute-escaped.txt", "inside/../../escaped.txt"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("way")
        link.type, link.linkname = tarfile.SYMTYPE, ".."
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("way/escaped.txt"))


def evil_zip(path):
    """The same, as zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../escaped.txt", "/tmp/absolute-escaped.txt"):
            archive.writestr(name, "x")


@pytest.mark.parametrize(("name", "make"), [("photos.tar.gz", evil_tar), ("photos.zip", evil_zip)])
def test_an_archive_is_a_file_like_any_other(people, tmp_path, name, make):
    alice, bob = people("alice", "bob")
    make(tmp_path / name)
    receiving = bob.receive()
    outside = content.listing(tmp_path)
    alice.send(bob, tmp_path / name).expect(0, 15)
    receiving.expect(0, 5)
    assert bob.received() == [name.encode()]
    assert (bob.inbox / name).read_bytes() == (tmp_path / name).read_bytes()
    homes = tuple(os.fsencode(os.path.relpath(each.home, tmp_path)) + b"/" for each in (alice, bob))
    assert not [path for path in content.listing(tmp_path) if path not in outside and not path.startswith(homes)]
