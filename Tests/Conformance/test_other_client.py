# SPDX-License-Identifier: Apache-2.0
"""A client written from the documents alone exchanges files with relay-client, in both directions."""

import json
import os
import re
import signal
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from harness import content, protocol, sealed
from harness.executables import REPOSITORY
from harness.sealed import Accept
from harness.sealed_tree import Tree
from harness.waiting import background, until

DOCUMENT = REPOSITORY / "docs/wire-protocol.md"
SIZES = [0, 1, 65_535, 65_536, 65_537, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_the_other_client_sends_to_relay_client(relay, people, size):
    bob = people("bob")
    receiving = bob.receive()
    body = content.data(f"to {size}", size)
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"from python.bin": body})
        assert offered.start() == Accept()
        assert offered.upload()[0] == 200
        assert offered.delivered() == (1, size)
    receiving.expect(0, 10)
    assert bob.received() == [b"from python.bin"]
    assert (bob.inbox / "from python.bin").read_bytes() == body


def test_the_other_client_sends_without_saying_the_size(relay, people):
    bob = people("bob")
    receiving = bob.receive()
    body = content.data("chunked", 3_000_001)
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, Tree.of({"stream": body}, sized=False))
        offered.start()
        assert offered.upload(sized=False)[0] == 200
        assert offered.delivered() == (1, len(body))
    receiving.expect(0, 10)
    assert (bob.inbox / "stream").read_bytes() == body


#: A folder with all that a folder may have in it.
FOLDER = {
    "photos/2024/a.jpg": content.data("a", 100_000),
    "photos/2024/empty.jpg": b"",
    "photos/2025/": None,
    "photos/\u00e9t\u00e9.jpg": b"summer",
    "notes.txt": b"beside it",
}


def laid_out(folder, files):
    """Makes what `Tree.of` takes in a folder."""
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if body is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(body)


def tree_of(folder):
    """What is in a folder, as `Tree.of` takes it."""
    paths = {path: str(path.relative_to(folder)) for path in folder.rglob("*")}
    files = {name: path.read_bytes() for path, name in paths.items() if path.is_file()}
    return files | {f"{name}/": None for path, name in paths.items() if path.is_dir() and not any(path.iterdir())}


def test_the_other_client_sends_a_folder(relay, people):
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.send(bob.name, FOLDER)
        assert offered.sealed.tree.summary()["kind"] == "several"
    receiving.expect(0, 10)
    assert tree_of(bob.inbox) == FOLDER
    assert (bob.inbox / "notes.txt").stat().st_mtime == 1_700_000_000


def test_the_other_client_receives_a_folder(relay, people, tmp_path):
    alice = people("alice")
    laid_out(tmp_path / "out", FOLDER)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "out" / "photos", tmp_path / "out" / "notes.txt")
        rung = bob.receive()
        sending.expect(0, 10)
    assert rung.summary["kind"] == "several" and rung.summary["names"] == ["notes.txt", "photos"]
    assert rung.contents.files == Tree.of(FOLDER).files
    assert rung.contents.paths == [
        "notes.txt",
        "photos",
        "photos/2024",
        "photos/2024/a.jpg",
        "photos/2024/empty.jpg",
        "photos/2025",
        "photos/été.jpg",
    ]


@pytest.mark.parametrize("size", SIZES)
def test_the_other_client_receives_from_relay_client(relay, people, size, tmp_path):
    alice = people("alice")
    body = content.data(f"from {size}", size)
    (tmp_path / "to python.bin").write_bytes(body)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "to python.bin")
        rung = bob.receive()
        assert sending.wait(10) == 0, sending.tail()
    assert rung.summary == {"names": ["to python.bin"], "entries": 1, "bytes": size, "kind": "file"}
    # The first attempt has the name of the transfer: one word for it in all logs.
    assert rung.transfer == rung.attempt
    assert rung.contents.paths == ["to python.bin"] and rung.contents.files == [body]
    assert "delivered" in sending.out() + sending.err()


def test_the_other_client_receives_standard_input(relay, people, tmp_path):
    alice = people("alice")
    body = content.data("stdin", 1_000_000)
    (tmp_path / "in").write_bytes(body)
    with relay.client("bob", receiving=True) as bob, open(tmp_path / "in", "rb") as stdin:
        sending = alice.send(bob.name, "-", stdin=stdin)
        rung = bob.receive()
        assert sending.wait(10) == 0, sending.tail()
    assert rung.summary["kind"] == "stream" and "bytes" not in rung.summary
    assert rung.contents.files == [body]


def test_the_length_of_the_stream_is_as_documented(relay, people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "file")
        rung = bob.ring()
        start = rung.accept()
        got = bytearray()
        status, length, whole = protocol.download(relay, start, got.extend)
        plaintext = b"".join(rung.sealed.plaintext([bytes(got)]))
        assert (status, length, whole) == (200, str(sealed.body_length(len(plaintext))), True)
        assert rung.sealed.read([bytes(got)]).files == [b"x" * 200_000]
        rung.delivered()
        sending.expect(0, 10)


def test_progress_counts_the_content_and_not_the_stream(relay, people):
    """Of a stream in records of 8 bytes two fifths are no content, which the last reports would show."""
    bob = people("bob")
    receiving = bob.receive()
    tree = Tree.named("paced", b"8 bytes." * 60_000)
    size = len(tree.files[0])
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, tree)
        offered.start()
        body = offered.sealed.body(offered.sealed.plaintext(8))

        def paced():
            for at in range(0, len(body), len(body) // 30):
                time.sleep(0.1)  # A rate: the receiver tells how far it is each half second.
                yield body[at : at + len(body) // 30]

        uploading = background(offered.upload, paced())
        assert offered.delivered(60) == (1, size)
        uploading.result(10)
    receiving.expect(0, 10)
    told = offered.offer.progress
    assert len(told) >= 3 and told == sorted(told) and max(told) <= size, told
    assert max(told) > size * 2 // 3, told


@pytest.fixture
def interrupted(relay, people, tmp_path):
    """A transfer of files of which the other client has some, and has broken off: `interrupted({"a": b"…"})` gives what
    relay-client sends, the client, and what it was rung with the second time."""
    clients = []

    def begin(files):
        alice, bob = people("alice"), relay.client("bob", receiving=True)
        clients.append(bob)
        for name, body in files.items():
            (tmp_path / name).write_bytes(body)
        sending = alice.send(bob.name, *(tmp_path / name for name in files))
        rung = bob.ring()
        rung.accept()
        contents = rung.download()
        # Its word of it never comes.
        bob.session.cancel(rung.attempt, "receiver_gone")
        again = bob.ring()
        assert again.transfer == rung.transfer and again.attempt != rung.attempt
        return sending, Tree(contents.entries, contents.files), again

    yield begin
    for each in clients:
        each.session.close()


def sample(body, file=0, block=0):
    """What a receiver says that it has."""
    return file, block, sealed.digest(body[block * 65_536 :][:65_536])


FILES = {"a": content.data("resumed", 200_000), "b": b"", "c": content.data("more", 70_000)}
POSITIONS = [(0, 1), (0, 65_536), (0, 131_072), (0, 200_000), (1, 0), (2, 0), (2, 69_999), (3, 0)]


@pytest.mark.parametrize("position", POSITIONS, ids=lambda position: f"{position[0]}-{position[1]}")
def test_relay_client_goes_on_where_the_other_client_was(interrupted, position):
    """Behind the last file as well, where only the word of it was lost: nothing is sent again."""
    sending, tree, rung = interrupted(FILES)
    samples = () if position < (0, 65_536) else (sample(FILES["a"]),)
    rung.accept(Accept(*position, samples=samples))
    assert rung.resume(tree, Accept(*position)).files == list(FILES.values())
    rung.delivered()
    sending.expect(0, 10)
    assert "delivered" in sending.err(), sending.tail()


@pytest.mark.parametrize(
    "block",
    [(0, 1, sealed.digest(b"x" * 65_536)), (0, 7, sealed.digest(b"")), (1, 0, sealed.digest(b"")), (7, 0, bytes(32))],
    ids=["another", "behind the end", "of an empty file", "of no file"],
)
def test_relay_client_compares_what_the_other_client_has_with_the_source(relay, interrupted, block):
    sending, _, rung = interrupted(FILES)
    start = rung.accept(Accept(2, 1, samples=(sample(FILES["a"]), block)))
    downloading = background(protocol.download, relay, start)
    failed = rung.failed()
    assert (failed["by"], failed["code"]) == ("peer", "source_changed"), failed
    downloading.exception(15)
    # What the other client has is of another content than what there is, which comes as another transfer.
    again = rung.next_ring()
    assert again.transfer != rung.transfer
    again.accept()
    assert again.download().files == list(FILES.values())
    again.delivered()
    sending.expect(0, 15)


def test_relay_client_sends_what_the_other_client_wants(relay, people, tmp_path):
    alice = people("alice")
    for name in "abc":
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, *(tmp_path / name for name in "abc"))
        rung = bob.ring()
        rung.accept(Accept(wants=True))

        def wanted(contents):
            assert contents.paths == ["a", "b", "c"]
            rung.want([(1, 1)], last=False)
            rung.want([(0, 1)])
            return [False, True, True]

        assert rung.download(wanted=wanted).files == [b"b" * 100_000, b"c" * 100_000]
        rung.delivered()
        sending.expect(0, 10)


def shared(person, *words):
    """`relay-client share`, waited for until it can be asked."""
    process = person.run("share", *words)
    process.wait_for("sharing ", 20)
    return process


@pytest.fixture
def sharer(relay):
    """A client that shares, and answers nothing by itself."""
    with relay.client("alice") as alice:
        alice.session.share()
        yield alice


def test_the_other_client_fetches_what_relay_client_shares(relay, people, tmp_path):
    alice = people("alice")
    laid_out(tmp_path / "out", FOLDER)
    with relay.client("bob") as bob:
        sharing = shared(alice, tmp_path / "out" / "photos", tmp_path / "out" / "notes.txt", "--with", bob.name)
        rung = bob.request(alice.name, {"fetch": ["photos", "notes.txt"]}).fetch()
        assert rung.summary["kind"] == "several" and rung.summary["names"] == ["notes.txt", "photos"]
        assert rung.contents.files == Tree.of(FOLDER).files
        # What is asked for from within a folder is at the top of what comes.
        rung = bob.request(alice.name, {"fetch": ["photos/2024"]}).fetch()
        assert rung.summary["kind"] == "folder"
        assert rung.contents.paths == ["2024", "2024/a.jpg", "2024/empty.jpg"]
        rung = bob.request(alice.name, {"fetch": ["photos/2024/empty.jpg"]}).fetch()
        assert rung.summary | {"answers": ""} == {
            "names": ["empty.jpg"],
            "entries": 1,
            "bytes": 0,
            "kind": "file",
            "answers": "",
        }
        sharing.wait_for(f'delivered "empty.jpg".* to {bob.name}', 10)


def listing(client, sharer, path):
    """What there is at a path: each line is held to section 9 of the sealed format."""
    rung = client.request(sharer.name, {"list": path}).fetch()
    assert (rung.summary["names"], rung.summary["kind"]) == (["listing"], "stream")
    (content,) = rung.contents.files
    lines = content.split(b"\n")
    assert lines.pop() == b"" and all(len(line) <= 2_048 for line in lines)
    entries = [json.loads(line) for line in lines]
    names = [entry["name"].encode() for entry in entries]
    assert names == sorted(set(names))
    for entry in entries:
        assert entry.keys() == {"name", "type", "modified"} | ({"size"} if entry["type"] == "file" else set()), entry
    return entries


def test_the_other_client_lists_what_relay_client_shares(relay, people, tmp_path):
    alice = people("alice")
    photos = tmp_path / "out" / "photos"
    laid_out(tmp_path / "out", FOLDER)
    (photos / "link").symlink_to("2024")
    for each in (*photos.iterdir(), photos):
        os.utime(each, (0, 1_600_000_000.25), follow_symlinks=False)
    with relay.client("bob") as bob:
        shared(alice, photos, tmp_path / "out" / "notes.txt", "--with", bob.name)
        top = listing(bob, alice, "")
        assert [(each["name"], each["type"]) for each in top] == [("notes.txt", "file"), ("photos", "folder")]
        modified = {"modified": 1_600_000_000_250}
        assert top[0]["size"] == 9 and top[1]["modified"] == modified["modified"]
        summer = {"name": "été.jpg", "type": "file", "size": 6} | modified
        assert listing(bob, alice, "photos") == [
            {"name": "2024", "type": "folder"} | modified,
            {"name": "2025", "type": "folder"} | modified,
            {"name": "link", "type": "link"} | modified,
            summer,
        ]
        assert listing(bob, alice, "photos/été.jpg") == [summer]
        assert listing(bob, alice, "photos/2025") == []


def test_the_other_client_is_told_what_is_not_shared(relay, people, tmp_path):
    alice = people("alice")
    laid_out(tmp_path / "out", FOLDER)
    with relay.client("bob") as bob, relay.client("mallory") as mallory:
        shared(alice, tmp_path / "out" / "photos", "--with", bob.name)
        for what in ({"fetch": ["notes.txt"]}, {"list": "notes.txt"}, {"fetch": ["photos/2024", "photos/2026"]}):
            # Those with whom nothing is shared are told nothing at all.
            mallory.request(alice.name, what)
            assert bob.request(alice.name, what).refused() == "not_shared"
        bob.request(alice.name, {"fetch": ["photos/2024"]}).fetch()
        assert mallory.session.ask("ping")["type"] == "pong"
        assert not [each for each in mallory.session._arrived if each["type"] in ("ring", "refused")]


def test_the_other_client_goes_on_with_what_relay_client_shares(relay, people, tmp_path):
    alice = people("alice")
    laid_out(tmp_path, FILES)
    with relay.client("bob") as bob:
        sharing = shared(alice, *(tmp_path / name for name in FILES), "--with", bob.name)
        first = bob.request(alice.name, {"fetch": list(FILES)}).ring()
        first.accept()
        contents = first.download()
    # Its word of it never comes. Who shares may be started again: it has to remember nothing.
    sharing.signal(signal.SIGINT)
    sharing.expect(130, 10)
    shared(alice, *(tmp_path / name for name in FILES), "--with", bob.name)
    resume = {"transfer": first.transfer, "manifest": protocol.b64(contents.digest)}
    with bob.again() as again:
        rung = again.request(alice.name, {"fetch": list(FILES), "resume": resume}).ring()
        assert rung.transfer == first.transfer and rung.attempt != first.attempt
        position = Accept(0, 131_073, samples=(sample(FILES["a"]),))
        rung.accept(position)
        assert rung.resume(Tree(contents.entries, contents.files), position).files == list(FILES.values())
        rung.delivered()
        # Of another manifest it is another transfer.
        other = resume | {"manifest": protocol.b64(bytes(32))}
        rung = again.request(alice.name, {"fetch": list(FILES), "resume": other}).fetch()
        assert rung.transfer != first.transfer and rung.contents.files == list(FILES.values())


def test_relay_client_fetches_what_the_other_client_shares(sharer, people):
    bob = people("bob")
    fetching = bob.run("fetch", sharer.name, "out/photos", "notes.txt", "--output", bob.inbox)
    heard = sharer.requested()
    assert (heard.requester, heard.what) == (bob.name, {"fetch": ["out/photos", "notes.txt"]})
    heard.serve(FOLDER)
    fetching.expect(0, 10)
    assert tree_of(bob.inbox) == FOLDER
    refused = bob.run("fetch", sharer.name, "more", "--output", bob.inbox)
    sharer.requested().refuse()
    refused.expect(66, 10)


def test_relay_client_lists_what_the_other_client_shares(sharer, people):
    bob = people("bob")
    entries = [
        {"name": "a", "type": "file", "size": 2**40, "modified": 1_600_000_000_250},
        {"name": "b", "type": "folder", "modified": 0},
        {"name": "été", "type": "link", "modified": 1},
    ]
    body = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode()
    listing = bob.run("list", sharer.name, "photos", "--json")
    heard = sharer.requested()
    assert heard.what == {"list": "photos"}
    heard.serve(Tree.of({"listing": body}, sized=False))
    listing.expect(0, 10)
    found = [(each["path"], each["type"], each.get("size")) for each in listing.events("entry")]
    assert found == [("photos/a", "file", 2**40), ("photos/b", "folder", None), ("photos/été", "link", None)]


def test_relay_client_goes_on_with_what_the_other_client_shares(sharer, people):
    bob = people("bob")
    tree = Tree.of({"film": content.data("pulled", 8_000_000)})
    fetching = bob.run("fetch", sharer.name, "film", "--output", bob.inbox)
    offered = sharer.requested().answer(tree)
    offered.start()
    whole, enough = offered.sealed.body(), threading.Event()

    def half():
        yield whole[:4_000_000]
        enough.wait(20)

    uploading = background(offered.upload, half())
    until(lambda: content.largest(bob.inbox) >= 1_000_000, 10, "a part of the file")
    sharer.session.close()
    enough.set()
    uploading.exception(20)
    with sharer.again() as again:
        again.session.share()
        heard = again.requested(30)
        transfer, manifest = protocol.b64(offered.sealed.transfer), protocol.b64(tree.digest)
        assert heard.what == {"fetch": ["film"], "resume": {"transfer": transfer, "manifest": manifest}}
        rest = heard.answer(tree, transfer=offered.sealed.transfer)
        # What it says it has was compared with what there is.
        position = rest.start()
        assert position.file == 0 and 1_000_000 <= position.offset < 8_000_000 and position.samples
        assert rest.upload()[0] == 200
        rest.delivered()
    fetching.expect(0, 10)
    assert (bob.inbox / "film").read_bytes() == tree.files[0] and bob.received() == [b"film"]


def test_every_example_of_the_document_is_what_this_client_sends_and_reads():
    text = DOCUMENT.read_text()
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", text, re.S)]
    assert len(examples) >= 20
    for example in examples:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", example["id"]), example
        assert json.dumps(example, sort_keys=True, separators=(",", ":")) == json.dumps(
            example, separators=(",", ":")
        ), "examples are in the order of their keys"
        for key, length in (("nonce", 32), ("token", 32), ("transfer", 16), ("key", 32)):
            if key in example:
                assert len(protocol.unb64(example[key])) == length, example
        if "prekey" in example:
            owner = example.get("credentials", example)
            assert example["prekey"].keys() == {"epoch", "key", "signature"}
            published, signed_by = (protocol.unb64(example["prekey"][field]) for field in ("key", "signature"))
            party = sealed.Party(owner["name"], protocol.unb64(owner["key"]))
            assert len(published) == sealed.KEY
            signed = sealed.prekey_signed(party, example["prekey"]["epoch"], published)
            assert sealed.verify(party.identity, signed_by, signed), example
        if "credentials" in example:
            assert len(protocol.unb64(example["credentials"]["signature"])) == 64
        if "payload" in example:
            assert isinstance(protocol.unpack(example["payload"]), dict)
    challenge = next(example for example in examples if example["type"] == "challenge")
    for example in (example for example in examples if "credentials" in example):
        credentials = example["credentials"]
        lines = [
            f"relay.v1 {example['type']}",
            "relay.example.com:8443",
            credentials["name"],
            challenge["nonce"],
        ]
        signing = ed25519.Ed25519PublicKey.from_public_bytes(protocol.unb64(credentials["key"]))
        signing.verify(protocol.unb64(credentials["signature"]), "\n".join(lines).encode())
    assert {each["type"] for each in examples} >= {
        "challenge",
        "login",
        "register",
        "welcome",
        "presence",
        "ok",
        "lookup",
        "peer",
        "ping",
        "pong",
        "offer",
        "offered",
        "start",
        "ring",
        "accept",
        "decline",
        "progress",
        "note",
        "delivered",
        "cancel",
        "failed",
        "error",
    }
