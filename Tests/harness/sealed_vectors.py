# SPDX-License-Identifier: Apache-2.0
"""The vectors of Tests/vectors/sealed: what is in them, and how those of this side are made."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from . import sealed, sealed_stream
from .executables import REPOSITORY
from .protocol import b64
from .sealed_stream import Entry

Vector = dict[str, Any]
FOLDER = REPOSITORY / "Tests/vectors/sealed"
# 2026-11-28 12:00 UTC, and its month.
TIME, EPOCH = 1_795_867_200_000, 12 * 2026 + 10
TRANSFER = bytes([9]) * 16

ENTRIES = [
    Entry("folder", "a folder", None, -(2**63), 1),
    Entry("file", "\u00e9", 0, 5, 0, 0o644, 3),
    Entry("link", "\u65e5\u672c", 0, target=b"/\xff"),
    Entry("file", "b", None, 2**40, 0, None, 70_000),
    Entry("file", "c"),
]
FILES = [b"abc", bytes(range(250)) * 280, b"unknown"]


def read(name: str) -> Vector:
    """The vectors that one side has written."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def write(vectors: Vector) -> None:
    """Writes those of this side."""
    text = json.dumps(vectors, indent=2, sort_keys=True, ensure_ascii=False)
    (FOLDER / "python.json").write_text(text + "\n")


def entry(values: Vector) -> Entry:
    """An entry of a vector."""
    target = values.get("target")
    return Entry(**(values | ({"target": bytes.fromhex(target)} if target else {})))


def owner(values: Vector) -> sealed.Owner:
    """A person of a vector."""
    seed = bytes.fromhex(values["seeds"][0])
    return sealed.Owner(values["name"], bytes.fromhex(values["identity"]), values["epoch"], seed)


def _owner(name: str, identity: bytes, seed: bytes) -> tuple[sealed.Owner, Vector]:
    person, ratchet = (sealed.Owner(name, identity, EPOCH, seed) for _ in range(2))
    key, signature = person.prekey()
    seeds = [seed.hex()]
    for _ in range(4):
        ratchet.ratchet()
        seeds.append(ratchet.seed.hex())
    return person, {
        "name": name,
        "identity": identity.hex(),
        "fingerprint": sealed.fingerprint(person.party.identity),
        "epoch": EPOCH,
        "seeds": seeds,
        "prekey": key.hex(),
        "signature": signature.hex(),
    }


def _entry(value: Entry) -> Vector:
    fields = {name: field for name, field in dataclasses.asdict(value).items() if field is not None}
    return fields | ({"target": value.target.hex()} if value.target else {})


def _attempt(
    alice: sealed.Owner, bob: sealed.Owner, byte: int, accept: sealed.Accept, summary: Vector, stream: Vector
) -> Vector:
    attempt, random, answer = bytes([byte]) * 16, bytes([byte + 1]) * 32, bytes([byte + 2]) * 32
    fresh, text = sealed.Exchange(bytes([byte + 3]) * 32), json.dumps(summary, ensure_ascii=False)
    prekey = (bob.epoch, bob.prekey()[0])
    payload = sealed.seal_offer(alice, bob.party, prekey, attempt, TRANSFER, TIME, fresh, random, text)
    offer = sealed.open_offer(payload, alice.party, bob, attempt, TIME)
    accepted = sealed.seal_accept(accept, offer, bob, answer)
    keys = sealed.Keys.derive(payload, accepted, random + answer)
    plaintext, manifest = bytes.fromhex(stream["plaintext"]), bytes.fromhex(stream["digest"])
    spoken = [(keys.receiver_notes, False, [b"\0\0\0\0\0\1\0\0\0\1", b"\0\1"]), (keys.sender_notes, True, [b"x"])]
    notes = [
        {"isSenders": side, "plaintext": note.hex(), "payload": sealed.seal_note(key, count, note).hex()}
        for key, side, said in spoken
        for count, note in enumerate(said)
    ]
    return {
        "time": TIME,
        "attempt": attempt.hex(),
        "transfer": TRANSFER.hex(),
        "fresh": fresh.seed.hex(),
        "random": random.hex(),
        "summary": text,
        "offer": payload.hex(),
        "accept": {
            "file": accept.file,
            "offset": accept.offset,
            "wants": accept.wants,
            "samples": [{"file": file, "block": at, "digest": value.hex()} for file, at, value in accept.samples],
            "random": answer.hex(),
            "payload": accepted.hex(),
        },
        "keys": {
            "content": keys.content.hex(),
            "senderNotes": keys.sender_notes.hex(),
            "receiverNotes": keys.receiver_notes.hex(),
            "delivered": keys.delivered.hex(),
        },
        "notes": notes,
        "delivered": {
            "digest": manifest.hex(),
            "entries": 2**64 - 1,
            "bytes": 0,
            "payload": sealed.seal_delivered(keys.delivered, manifest, 2**64 - 1, 0).hex(),
        },
        "stream": stream | {"body": sealed.seal_body(keys.content, plaintext).hex()},
    }


def chunk(content: bytes, number: int, length: int) -> Vector:
    """A chunk of a known plaintext."""
    plaintext = bytes(at % 251 for at in range(length))
    value = sealed.digest(sealed.seal_chunk(content, number, plaintext))
    return {"content": content.hex(), "number": number, "length": length, "sha256": value.hex()}


def _requests(alice: sealed.Owner, bob: sealed.Owner) -> list[Vector]:
    prekey = (bob.epoch, bob.prekey()[0])
    asked: list[Vector] = [
        {"list": ""},
        {"fetch": ["a folder/b", "\u65e5\u672c"], "unknown": 1},
        {"fetch": ["c"], "resume": {"transfer": b64(TRANSFER), "manifest": b64(bytes(range(32)))}},
    ]
    texts = [json.dumps(what, ensure_ascii=False) for what in asked]
    return [
        {
            "time": TIME,
            "request": (bytes([index]) * 16).hex(),
            "what": text,
            "payload": sealed.seal_request(alice, bob.party, prekey, bytes([index]) * 16, TIME, text).hex(),
        }
        for index, text in enumerate(texts)
    ]


def _announced() -> dict[str, tuple[str, list[Entry], list[bytes]]]:
    """What is announced, and is not what comes: the rest of these streams is as it should be."""

    def summary(kind: str, *names: str, **counts: int) -> str:
        return json.dumps({"names": names, "kind": kind, **counts})

    folder, file, link = Entry("folder", "a"), Entry("file", "a", size=0), Entry("link", "a", target=b"b")
    ten = [Entry("folder", str(digit)) for digit in range(10)]
    return {
        "fewer entries than were announced": (summary("folder", "a", entries=2), [folder], []),
        "more entries than were announced": (
            summary("several", "a", "b", entries=1),
            [folder, Entry("folder", "b")],
            [],
        ),
        "fewer bytes than were announced": (summary("file", "a", bytes=1), [file], [b""]),
        "more bytes than were announced": (summary("file", "a", bytes=0), [Entry("file", "a", size=1)], [b"x"]),
        "bytes were announced and are not known": (summary("file", "a", bytes=0), [Entry("file", "a")], [b""]),
        "another name": (summary("file", "b"), [file], [b""]),
        "a name is missing": (summary("several", "a", "b"), [folder], []),
        "a name more": (summary("several", "a"), [folder, Entry("folder", "b")], []),
        "names in another order": (summary("several", "b", "a"), [folder, Entry("folder", "b")], []),
        "seven names of ten": (summary("several", *"0123456"), ten, []),
        "another eighth name": (summary("several", *"01234568"), ten, []),
        "a name from within a folder": (summary("several", "a", "b"), [folder, Entry("folder", "b", 0)], []),
        "a folder for a file": (summary("file", "a"), [folder], []),
        "a link for a file": (summary("file", "a"), [link], []),
        "a folder for a stream": (summary("stream", "a"), [folder], []),
        "a file for a folder": (summary("folder", "a"), [file], [b""]),
        "two folders for one": (summary("folder", "a", "b"), [folder, Entry("folder", "b")], []),
        "nothing for a file": (summary("file"), [], []),
        "nothing for a folder": (summary("folder"), [], []),
    }


def _refused(alice: sealed.Owner) -> list[Vector]:
    def manifest(*entries: Entry) -> bytes:
        return sealed_stream.write_manifest(entries, TRANSFER, alice.signing)[0]

    whole = manifest(*(dataclasses.replace(each, size=each.size and min(each.size, 3)) for each in ENTRIES))
    files = [file[:3] for file in FILES]
    manifests = {
        "names out of order": [Entry("folder", "b"), Entry("folder", "a")],
        "two equal names": [Entry("folder", "a"), Entry("folder", "a")],
        "back in a folder that was left": [Entry("folder", "a"), Entry("folder", "b"), Entry("folder", "c", 0)],
        "a folder that is none": [Entry("folder", "a", 7)],
        "a name that leads out": [Entry("folder", "..")],
        "a path": [Entry("folder", "a/b")],
        "permissions above nine bits": [Entry("folder", "a", mode=0o4755)],
        "a second of nanoseconds": [Entry("folder", "a", nanoseconds=10**9)],
        "a link to nothing": [Entry("link", "a", target=b"")],
    }
    streams = {
        **{why: manifest(*entries) + sealed_stream.write_content([]) for why, entries in manifests.items()},
        "less content than announced": whole + sealed_stream.write_content([b"ab", *files[1:]]),
        "more content than announced": whole + sealed_stream.write_content([b"abcd", *files[1:]]),
        "a file is missing": whole + sealed_stream.write_content(files[:2]),
        "a file too many": whole + sealed_stream.write_content([*files, b""]),
        "something behind the end": whole + sealed_stream.write_content(files) + b"\0",
    }
    refused: list[tuple[str, Vector, bytes]] = [(why, {}, stream) for why, stream in streams.items()] + [
        (why, {"summary": text}, manifest(*entries) + sealed_stream.write_content(content))
        for why, (text, entries, content) in _announced().items()
    ]
    return [
        {"why": why, "plaintext": stream.hex(), "code": "protocol_error", **summary} for why, summary, stream in refused
    ]


def make() -> Vector:
    """The vectors of this side: only encapsulation is random in them."""
    alice, alices = _owner("alice", bytes(range(32)), bytes(range(1, 33)))
    bob, bobs = _owner("bob.example", bytes(range(32, 64)), bytes(range(64, 96)))
    manifest, value = sealed_stream.write_manifest(ENTRIES, TRANSFER, alice.signing)
    whole = {
        "plaintext": (manifest + sealed_stream.write_content(FILES, 65_536)).hex(),
        "digest": value.hex(),
        "entries": [_entry(each) for each in ENTRIES],
        "files": [file.hex() for file in FILES],
        "due": [],
    }
    rest = {
        "plaintext": (b"\2" + value + sealed_stream.write_content([b"c", b""])).hex(),
        "digest": value.hex(),
        "entries": [],
        "files": [b"c".hex(), ""],
        "due": [{"size": 3, "offset": 2}, {"size": 0, "offset": 0}],
    }
    summary = {"names": ["a folder", "b", "c"], "kind": "several", "entries": len(ENTRIES), "unknown": [None]}
    resumed = sealed.Accept(0, 2, True, tuple((at, at * at, sealed.digest(bytes([at]))) for at in range(16)))
    return {
        "alice": alices,
        "bob": bobs,
        "attempts": [
            _attempt(alice, bob, 0x10, sealed.Accept(), summary, whole),
            _attempt(alice, bob, 0x20, resumed, {"names": [], "kind": "stream"}, rest),
        ],
        "requests": _requests(alice, bob),
        "chunks": [chunk(bytes([7]) * 32, number, length) for number, length in ((0, 1), (2, 65_536), (3 << 20, 9))],
        "refused": _refused(alice),
    }
