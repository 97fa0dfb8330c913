# SPDX-License-Identifier: Apache-2.0
"""share, list and fetch: what one person shares, another gets, and nothing else."""

import json
import os
import shutil
import signal
import threading

import pytest

from harness import content, measure, protocol
from harness.mortal import mortal
from harness.waiting import background, until

SIZE = 200_000_000


def share(person, *paths, to=(), ready=True, **options):
    """`relay-client share`, waited for until it can be asked."""
    names = [word for peer in to for word in ("--with", peer if isinstance(peer, str) else peer.name)]
    process = person.run("share", *paths, *names, **options)
    if ready:
        process.wait_for("sharing ", 20)
    return process


def listed(person, sharer, *arguments, **options):
    """`relay-client list --json`, as the objects of it."""
    process = person.run("list", sharer.name, *arguments, "--json", **options).expect(0, 20)
    entries = [json.loads(line) for line in process.out().splitlines()]
    return [entry for entry in entries if entry["event"] == "entry"]


def fetch(person, sharer, *paths, output=None, **options):
    """`relay-client fetch` into the inbox."""
    return person.run("fetch", sharer.name, *paths, "--output", output or person.inbox, **options)


def tree(top):
    """What is below a folder: the content of each file, None for each folder."""
    paths = sorted(path for path in top.rglob("*") if not path.is_symlink())
    return {str(path.relative_to(top)): path.read_bytes() if path.is_file() else None for path in paths}


@pytest.fixture
def public(tmp_path):
    """A folder to share: its files, by their paths in it."""
    top = tmp_path / "pub"
    files = {"a.txt": b"a", "folder/inner.txt": b"inner", "folder/deep/x": b"x" * 100_000, "zero": b""}
    for name, data in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(data)
    (top / "empty").mkdir()
    return top


@pytest.fixture
def alice(relay, tmp_path):
    """Who shares."""
    return relay.person("alice", tmp_path)


@pytest.fixture
def bob(relay, tmp_path):
    """Who asks."""
    return relay.person("bob", tmp_path)


@pytest.mark.slow
def test_what_is_shared_is_listed_and_fetched(alice, bob, public):
    sharing = share(alice, public, to=[bob])
    assert [(each["path"], each["type"]) for each in listed(bob, alice)] == [("pub", "folder")]
    entries = {each["path"]: each for each in listed(bob, alice, "pub")}
    assert list(entries) == ["pub/a.txt", "pub/empty", "pub/folder", "pub/zero"]
    assert (entries["pub/a.txt"]["type"], entries["pub/a.txt"]["size"]) == ("file", 1)
    assert "size" not in entries["pub/folder"] and entries["pub/folder"]["type"] == "folder"
    assert [each["path"] for each in listed(bob, alice, "pub/folder/inner.txt")] == ["pub/folder/inner.txt"]
    fetch(bob, alice, "pub/folder/inner.txt").expect(0, 20)
    assert (bob.inbox / "inner.txt").read_bytes() == b"inner"
    fetch(bob, alice, "pub").expect(0, 20)
    assert tree(bob.inbox / "pub") == tree(public)
    # What is there already is not touched.
    fetch(bob, alice, "pub/a.txt", "pub/folder").expect(0, 20)
    fetch(bob, alice, "pub/a.txt").expect(0, 20)
    assert bob.received() == [b"a (1).txt", b"a.txt", b"folder", b"inner.txt", b"pub"]
    for word in (f'{bob.name} asks for "pub"', 'delivered "pub" (folder', f"to {bob.name}"):
        assert word in sharing.err(), sharing.tail()
    sharing.signal(signal.SIGINT)
    sharing.expect(130, 10)


@pytest.mark.slow
def test_the_table_is_for_people(alice, bob, public):
    share(alice, public, to=[bob])
    lines = bob.run("list", alice.name, "pub").expect(0, 20).out().splitlines()
    assert [line.split()[0] for line in lines] == ["a.txt", "empty/", "folder/", "zero"], lines
    assert "1 byte" in lines[0] or "1 B" in lines[0], lines
    long = bob.run("list", alice.name, "pub/folder/", "--long").expect(0, 20).out().splitlines()
    assert [line.split()[0] for line in long] == ["folder", "file"], long
    assert long[1].endswith("inner.txt") and " 5 " in long[1], long
    (public / "bad\x1b[31m\nname").write_bytes(b"")
    shown = bob.run("list", alice.name, "pub").expect(0, 20).out()
    assert "\x1b" not in shown and len(shown.splitlines()) == 5, shown
    assert bob.run("list", alice.name, "pub/empty").expect(0, 20).out() == ""


def test_programs_are_told_who_fetches_what(alice, bob, public):
    sharing = alice.run("share", public, "--with", bob.name, "--json")
    until(lambda: '"sharing"' in sharing.out(), 20, "the share")
    fetching = bob.run("fetch", alice.name, "pub/a.txt", "--output", bob.inbox, "--json").expect(0, 20)
    listed(bob, alice)
    until(lambda: sharing.out().count('"requested"') == 2, 10, "both requests")
    events = [json.loads(line) for line in sharing.out().splitlines()]
    asked = [each for each in events if each["event"] == "requested"]
    assert asked == [
        {"schema": 1, "event": "requested", "peer": bob.name, "asks": "fetch", "paths": ["pub/a.txt"]},
        {"schema": 1, "event": "requested", "peer": bob.name, "asks": "list", "paths": [""]},
    ]
    (delivered,) = [each for each in events if each["event"] == "delivered"]
    assert (delivered["peer"], delivered["name"], delivered["bytes"]) == (bob.name, "a.txt", 1)
    (received,) = [each for each in map(json.loads, fetching.out().splitlines()) if each["event"] == "received"]
    assert received["path"] == str(bob.inbox / "a.txt") and received["transfer"] == delivered["transfer"]


@pytest.mark.parametrize("last", [19, 20, 21], ids=["less", "what was asked for", "more"])
def test_an_answer_has_all_names_that_were_asked_for_and_no_others(relay, bob, last):
    """Also behind the eighth, which no offer names."""
    with relay.client("mallory") as mallory:
        mallory.session.share()
        fetching = fetch(bob, mallory, *(f"top/{each}" for each in range(10, 20)))
        offered = mallory.requested().answer({str(each): b"x" for each in range(10, last)})
        offered.start()
        background(offered.upload)
        if last == 20:
            offered.delivered(20)
            fetching.expect(0, 20)
            assert len(bob.received()) == 10
            return
        with pytest.raises(protocol.Failed) as failure:
            offered.delivered(20)
        assert (failure.value.by, failure.value.code) == ("peer", "protocol_error")
        fetching.expect(76, 20)
        assert bob.received() == []


def test_to_standard_output(alice, bob, public):
    share(alice, public, to=[bob])
    assert fetch(bob, alice, "pub/folder/deep/x", output="-").expect(0, 20).out() == "x" * 100_000
    assert "a folder" in fetch(bob, alice, "pub/folder", output="-").expect(73, 20).err()


def test_what_is_there_is_skipped(alice, bob, public):
    share(alice, public, to=[bob])
    fetch(bob, alice, "pub").expect(0, 20)
    (public / "folder/new").write_bytes(b"new")
    fetch(bob, alice, "pub", "--skip-existing").expect(0, 20)
    assert bob.received() == [b"pub"] and tree(bob.inbox / "pub") == tree(public)


def test_nothing_new_is_said_to_be_nothing(alice, bob, public):
    sharing = share(alice, public, to=[bob])
    fetch(bob, alice, "pub").expect(0, 20)
    again = fetch(bob, alice, "pub", "--skip-existing").expect(0, 20)
    assert f'nothing new from {alice.name}: every file of "pub" (' in again.err() and "received" not in again.err()
    sharing.wait_for(rf'nothing new for {bob.name}: every file of "pub" \(', 10)
    # What has changed is stored beside it, and then is there as well.
    (public / "a.txt").write_bytes(b"another")
    fetch(bob, alice, "pub", "--skip-existing").expect(0, 20)
    assert (bob.inbox / "pub/a (1).txt").read_bytes() == b"another"
    (received,) = fetch(bob, alice, "pub", "--skip-existing", "--json").expect(0, 20).events("received")
    assert (received["new"], received["bytes"], received["path"]) == (False, 0, str(bob.inbox))
    assert sorted(os.listdir(bob.inbox / "pub")) == ["a (1).txt", "a.txt", "empty", "folder", "zero"]


@pytest.mark.slow
def test_what_has_come_since_is_there(alice, bob, public):
    share(alice, public, to=[bob])
    listed(bob, alice, "pub")
    (public / "later").write_bytes(b"later")
    assert "pub/later" in [each["path"] for each in listed(bob, alice, "pub")]
    fetch(bob, alice, "pub/later").expect(0, 20)
    os.unlink(public / "later")
    assert "relay-client list" in fetch(bob, alice, "pub/later").expect(66, 20).err()


@pytest.mark.slow
def test_others_cannot_tell_that_anything_is_shared(relay, alice, bob, public, tmp_path):
    mallory = relay.person("mallory", tmp_path)
    sharing = share(alice, public, to=[bob])
    said = fetch(mallory, alice, "pub/a.txt", "--no-wait").expect(69, 20).err()
    assert f"{alice.name} shares nothing with you, or is not there" in said, said
    # The same words as of one who is not there.
    other = fetch(mallory, bob, "pub/a.txt", "--no-wait").expect(69, 20).err()
    assert (
        other.replace(bob.name, alice.name) in said
        or said.splitlines()[-1] == other.replace(bob.name, alice.name).splitlines()[-1]
    )
    assert mallory.name not in sharing.err()
    assert mallory.received() == []


@pytest.mark.slow
def test_what_cannot_be_listed_is_told(relay, alice, bob, public, tmp_path):
    mallory = relay.person("mallory", tmp_path)
    assert "nothing came of" in bob.run("list", alice.name, "--timeout", "1s").expect(75, 10).err()
    (public / "link").symlink_to("folder")
    sharing = share(alice, public, to=[bob])
    asked = [
        (bob.run("list", alice.name, "private"), 66, "shares nothing of that name"),
        (bob.run("list", alice.name, "pub/vanished"), 66, "shares nothing of that name"),
        (bob.run("list", alice.name, "pub/link/inner.txt"), 66, "shares nothing of that name"),
        (bob.run("list", alice.name, "pub/../private"), 64, "pub/../private"),
        (bob.run("list", alice.name, "/etc"), 64, "/etc"),
        (mallory.run("list", alice.name, "pub", "--no-wait"), 69, "shares nothing with you, or is not there"),
    ]
    for process, code, told in asked:
        assert told in process.expect(code, 20).err(), process.tail()
        assert process.out() == "", process.tail()
    assert mallory.name not in sharing.err()


@pytest.mark.slow
def test_paths_that_lead_elsewhere(alice, bob, public, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_bytes(b"secret")
    (public / "out").symlink_to(secret)
    (public / "absolute").symlink_to("/etc/passwd")
    (public / "relative").symlink_to("../secret/key")
    (public / "within").symlink_to("folder")
    os.mkfifo(public / "fifo")
    share(alice, public, to=[bob])
    for path in ("../secret/key", "pub/../secret/key", "/etc/passwd", ".", "pub//a.txt", "pub/./a.txt", ""):
        assert fetch(bob, alice, path).expect(64, 10).err()
    for path in ("secret/key", "pub/out/key", "pub/out", "pub/absolute", "pub/relative", "pub/within/inner.txt", "etc"):
        assert f"{alice.name} shares nothing of that name" in fetch(bob, alice, path).expect(66, 20).err()
    said = fetch(bob, alice, "pub/fifo").expect(66, 20).err()
    assert "cannot read it" in said, said
    fetch(bob, alice, "pub").expect(0, 20)
    assert sorted(os.listdir(bob.inbox / "pub")) == ["a.txt", "empty", "folder", "zero"]
    assert not any(b"secret" in path.read_bytes() for path in bob.inbox.rglob("*") if path.is_file())


@pytest.mark.slow
def test_what_the_sharer_may_not_read_is_told_to_both(alice, bob, public):
    (public / "unreadable").write_bytes(b"secret")
    (public / "unreadable").chmod(0)
    sharing = share(alice, public, to=[bob], prefix=mortal())
    for path in ("pub/unreadable", "pub"):
        assert f"{alice.name} cannot read it" in fetch(bob, alice, path).expect(66, 20).err()
    sharing.wait_for('unreadable": permission denied', 10)
    assert bob.received() == []
    (public / "unreadable").chmod(0o600)
    fetch(bob, alice, "pub/unreadable").expect(0, 20)
    assert (bob.inbox / "unreadable").read_bytes() == b"secret"


@pytest.mark.slow
def test_moving_things_in_a_loop_leads_nowhere(alice, bob, public, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    for name in ("inner.txt", "key"):
        (secret / name).write_bytes(b"secret")
    (public / "out").symlink_to(secret)
    share(alice, public, to=[bob])
    stop = threading.Event()

    def move():
        names = [(public / "folder", public / "away"), (public / "out", public / "folder")]
        while not stop.is_set():
            for old, new in names:
                os.rename(old, new)
            for old, new in reversed(names):
                os.rename(new, old)

    def nothing_leaks(number):
        output = tmp_path / f"got{number}"
        output.mkdir()
        fetched = fetch(bob, alice, "pub/folder", output=output).wait(30)
        for path in output.rglob("*"):
            assert not path.is_file() or b"secret" not in path.read_bytes(), path
        listing = bob.run("list", alice.name, "pub/folder", "--json")
        listing.wait(20)
        assert '"key"' not in listing.out()
        return fetched

    moving = threading.Thread(target=move)
    moving.start()
    try:
        # Whether one of them finds the folder in its place is chance; that none gets out of the tree is not.
        for number in range(8):
            nothing_leaks(number)
    finally:
        stop.set()
        moving.join()
    assert nothing_leaks("after") == 0


def test_two_fetches_of_the_same_at_once(alice, bob, public, tmp_path):
    share(alice, public, to=[bob])
    outputs = [tmp_path / f"got{number}" for number in range(4)]
    for output in outputs:
        output.mkdir()
    for each in [fetch(bob, alice, "pub", output=output) for output in outputs]:
        each.expect(0, 30)
    for output in outputs:
        assert tree(output / "pub") == tree(public)


def test_two_fetches_of_the_same_into_one_folder_at_once(relay, large):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", 20_000_000)
    share(alice, large / "film.mkv", to=[bob])
    for each in [fetch(bob, alice, "film.mkv") for _ in range(2)]:
        each.expect(0, 30)
    assert b"film.mkv" in bob.received() and set(bob.received()) <= {b"film.mkv", b"film (1).mkv"}
    assert {content.sha256(path) for path in bob.inbox.iterdir()} == {digest}
    assert "no transfer is unfinished" in bob.run("transfers").expect(0, 10).err()


def test_a_fetch_of_what_another_one_receives_does_not_cut_it(relay, large):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", SIZE)
    share(alice, large / "film.mkv", to=[bob])
    first = fetch(bob, alice, "film.mkv")
    until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
    first.signal(signal.SIGSTOP)
    second = fetch(bob, alice, "film.mkv").expect(0, 30)
    assert "going on" not in second.err()
    first.signal(signal.SIGCONT)
    first.expect(0, 30)
    assert {content.sha256(path) for path in bob.inbox.iterdir()} == {digest} and len(bob.received()) == 2


@pytest.mark.slow
def test_a_sharer_who_is_not_there_is_waited_for(alice, bob, public):
    fetching = fetch(bob, alice, "pub/a.txt")
    fetching.wait_for("has not answered", 15)
    share(alice, public, to=[bob])
    fetching.expect(0, 30)
    assert (bob.inbox / "a.txt").read_bytes() == b"a"
    assert "nothing came of" in fetch(alice, bob, "x", "--timeout", "2s").expect(75, 10).err()
    assert "no user of this relay is called nobody" in bob.run("fetch", "nobody-here", "x").expect(
        69, 10
    ).err().replace("nobody-here", "nobody")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_sharer_that_ends_and_comes_back(relay, large, how):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", SIZE)
    sharing = share(alice, large / "film.mkv", to=[bob])
    fetching = fetch(bob, alice, "film.mkv")
    until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
    sharing.signal(how)
    sharing.wait(10)
    fetching.wait_for("it goes on when", 10)
    share(alice, large / "film.mkv", to=[bob])
    fetching.expect(0, 60)
    assert "going on with" in fetching.err(), fetching.tail()
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest


def test_of_two_sharers_the_other_goes_on_when_one_is_killed(relay, large):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", SIZE // 2)
    sharing = [share(alice, large / "film.mkv", "--json", to=[bob], ready=False) for _ in range(2)]
    for each in sharing:
        until(lambda each=each: each.events("sharing"), 20, "the share")
    fetching = fetch(bob, alice, "film.mkv", "--json")
    until(lambda: content.largest(bob.inbox) >= SIZE // 20, 30, "a part of the file")
    (serving,) = [each for each in sharing if each.events("progress")]
    (other,) = [each for each in sharing if each is not serving]
    serving.kill()
    fetching.expect(0, 60)
    (received,) = fetching.events("received")
    until(lambda: other.events("delivered"), 10, "the word of the other one")
    (delivered,) = other.events("delivered")
    assert delivered["transfer"] == received["transfer"] == serving.events("progress")[0]["transfer"]
    assert [each for each in fetching.events("resumed") if each["bytes"] > 0], fetching.tail()
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest


def test_a_fetch_that_was_interrupted_goes_on(relay, large):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", SIZE)
    share(alice, large / "film.mkv", to=[bob])
    for how in ("again", "resume"):
        fetching = fetch(bob, alice, "film.mkv")
        until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
        fetching.signal(signal.SIGINT)
        fetching.expect(130, 10)
        (unfinished,) = [json.loads(line) for line in bob.run("transfers", "--json").expect(0, 10).out().splitlines()]
        assert unfinished["peer"] == alice.name
        if how == "again":
            process = fetch(bob, alice, "film.mkv")
        else:
            process = bob.run("transfers", "resume", "--", unfinished["transfer"])
        process.expect(0, 60)
        assert "going on with" in process.err(), process.tail()
        assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest
        os.unlink(bob.inbox / "film.mkv")


def test_what_has_changed_begins_again(relay, large):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    content.file(large / "film.mkv", "pull", SIZE)
    share(alice, large / "film.mkv", to=[bob])
    fetching = fetch(bob, alice, "film.mkv")
    until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
    fetching.signal(signal.SIGINT)
    fetching.expect(130, 10)
    digest = content.file(large / "film.mkv", "another", SIZE)
    fetch(bob, alice, "film.mkv").expect(0, 60)
    assert content.sha256(bob.inbox / "film.mkv") == digest
    # What had come of the film as it was is of no use any more.
    assert bob.received() == [b"film.mkv"]
    assert "no transfer is unfinished" in bob.run("transfers").expect(0, 10).err()


def test_what_changes_while_it_is_fetched_comes_anew(relay, large):
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    content.file(large / "film.mkv", "pull", SIZE)
    sharing = share(alice, large / "film.mkv", "--json", to=[bob], ready=False)
    until(lambda: sharing.events("sharing"), 20, "the share")
    fetching = fetch(bob, alice, "film.mkv", "--json")
    until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
    with open(large / "film.mkv", "ab") as file:
        file.write(b"more")
    fetching.expect(0, 60)
    # Both sides are told, of one and the same transfer, which is followed by another.
    for process in (sharing, fetching):
        until(lambda process=process: process.events("delivered", "received"), 10, "the end")
        told = process.events("restarted", "delivered", "received", "failed")
        assert [event["event"] for event in told[:-1]] == ["restarted"], told
        assert told[0]["transfer"] != told[-1]["transfer"]
    assert bob.received() == [b"film.mkv"]
    assert content.sha256(bob.inbox / "film.mkv") == content.sha256(large / "film.mkv")


def test_what_changes_all_the_time_is_not_fetched(alice, bob, tmp_path):
    path = tmp_path / "log.bin"
    content.file(path, "log", SIZE // 4)
    sharing = share(alice, path, to=[bob])
    over = threading.Event()

    def write():
        while not over.wait(0.01):
            with open(path, "ab") as file:
                file.write(b"more")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        fetching = fetch(bob, alice, "log.bin").expect(66, 60)
    finally:
        over.set()
        thread.join()
    assert fetching.err().count("it comes again from the beginning") == 4, fetching.tail()
    assert f'not received: "log.bin" from {alice.name}: ' in fetching.err(), fetching.tail()
    sharing.wait_for("copy it first", 10)
    assert bob.received() == []


@pytest.mark.slow
def test_laptop_and_desktop_share_different_things(alice, bob, public, tmp_path):
    other = tmp_path / "other/docs"
    other.mkdir(parents=True)
    (other / "b.txt").write_bytes(b"b")
    share(alice, public, to=[bob])
    share(alice, other, to=[bob])
    assert [each["path"] for each in listed(bob, alice)] == ["docs", "pub"]
    for path, data in (("docs/b.txt", b"b"), ("pub/a.txt", b"a")):
        fetch(bob, alice, path).expect(0, 20)
        assert (bob.inbox / path.split("/")[1]).read_bytes() == data
    fetch(bob, alice, "none").expect(66, 20)


def test_one_process_shares_and_receives(relay, alice, bob, public):
    sharing = share(alice, public, "--receive", alice.inbox, "--from", bob.name, "--yes", to=[bob])
    alice.wait_online(sharing)
    (bob.home / "gift").write_bytes(b"gift")
    # Over one connection.
    sessions = relay.command("sessions", "list").stdout.splitlines()
    assert [line.split("\t")[1] for line in sessions].count(alice.name) == 1, sessions
    sending, fetching = bob.send(alice, bob.home / "gift"), fetch(bob, alice, "pub")
    for each in (sending, fetching):
        each.expect(0, 20)
    assert (alice.inbox / "gift").read_bytes() == b"gift"
    assert tree(bob.inbox / "pub") == tree(public)
    # Everything a person is told of: of both.
    sharing.wait_for("received", 5)
    assert "delivered" in sharing.err()


def test_what_cannot_be_shared_is_refused_with_its_reason(alice, tmp_path, public):
    for words, code, told in [
        ([], 64, "name at least one file"),
        (["-"], 64, "standard input cannot be shared"),
        ([tmp_path / "none"], 66, "cannot read"),
        ([public, public], 66, "two of the files and folders to share"),
        ([public, "--yes"], 64, "--receive"),
        (["/"], 66, "root"),
    ]:
        process = alice.run("share", *words).expect(code, 10)
        assert told in process.err(), process.tail()
    os.mkfifo(tmp_path / "fifo")
    assert "not a regular file" in alice.run("share", tmp_path / "fifo").expect(66, 10).err()


def test_without_with_everyone_may_fetch(alice, bob, public):
    sharing = share(alice, public)
    assert "everyone on" in sharing.err()
    fetch(bob, alice, "pub/a.txt").expect(0, 20)


@pytest.mark.slow
def test_a_long_listing(alice, bob, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(20_000):
        (many / f"{number:05}").touch()
    share(alice, many, to=[bob])
    entries = listed(bob, alice, "many")
    assert len(entries) == 20_000 and entries[-1]["path"] == "many/19999"
    shutil.rmtree(many)
    fetch(bob, alice, "many/00001").expect(66, 20)


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_fifty_requesters_at_once_while_it_receives(relay, large):
    alice, size = relay.person("alice", large), 8_000_000
    people = [relay.person(f"bob{number}", large) for number in range(55)]
    top = large / "pub"
    top.mkdir()
    digests = [content.file(top / f"{number}", number, size) for number in range(50)]
    sharing = share(alice, top, "--receive", alice.inbox, "--yes")
    alice.wait_online(sharing)
    for number, person in enumerate(people[50:]):
        content.file(person.home / f"gift{number}", number, size)
    fetching = [fetch(person, alice, f"pub/{number}") for number, person in enumerate(people[:50])]
    sending = [person.send(alice, person.home / f"gift{number}") for number, person in enumerate(people[50:])]
    for process in fetching + sending:
        process.expect(0, 240)
    for number, person in enumerate(people[:50]):
        assert content.sha256(person.inbox / f"{number}") == digests[number]
    for number, person in enumerate(people[50:]):
        assert content.sha256(alice.inbox / f"gift{number}") == content.sha256(person.home / f"gift{number}")
    assert sharing.running() and (used := measure.peak(sharing.pid)) <= 150 << 20, used
