# SPDX-License-Identifier: Apache-2.0
"""A client written from docs/wire-protocol.md alone exchanges files with relay-client, in both directions."""

import hashlib
import json
import re
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from harness import content, protocol, records, sealed
from harness.executables import REPOSITORY
from harness.waiting import background

DOCUMENT = REPOSITORY / "docs/wire-protocol.md"
SIZES = [0, 1, 65_535, 65_536, 65_537, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_the_other_client_sends_to_relay_client(relay, people, size):
    bob = people("bob")
    receiving = bob.receive()
    body = content.data(f"to {size}", size)
    with relay.session("alice") as alice:
        said = protocol.send_file(relay, alice, bob.name, "from python.bin", body)
    assert said == {"v": 0, "size": size, "sha256": hashlib.sha256(body).hexdigest()}
    receiving.expect(0, 10)
    assert bob.received() == [b"from python.bin"]
    assert (bob.inbox / "from python.bin").read_bytes() == body


def test_the_other_client_sends_without_saying_the_size(relay, people):
    bob = people("bob")
    receiving = bob.receive()
    body = content.data("chunked", 3_000_001)
    with relay.session("alice") as alice:
        protocol.send_file(relay, alice, bob.name, "stream", body, announce=False)
    receiving.expect(0, 10)
    assert (bob.inbox / "stream").read_bytes() == body


@pytest.mark.parametrize("size", SIZES)
def test_the_other_client_receives_from_relay_client(relay, people, size, tmp_path):
    alice = people("alice")
    body = content.data(f"from {size}", size)
    (tmp_path / "to python.bin").write_bytes(body)
    with relay.session("bob", receiving=True) as bob:
        sending = alice.send(bob.identity.name, tmp_path / "to python.bin")
        manifest, got = protocol.receive_file(relay, bob)
        assert sending.wait(10) == 0, sending.tail()
    assert len(protocol.unb64(manifest.pop("attempt"))) == 16
    assert manifest == {"v": 0, "name": "to python.bin", "size": size}
    assert got == body
    assert "delivered" in sending.out() + sending.err()


def test_the_other_client_receives_standard_input(relay, people, tmp_path):
    alice = people("alice")
    body = content.data("stdin", 1_000_000)
    (tmp_path / "in").write_bytes(body)
    with relay.session("bob", receiving=True) as bob, open(tmp_path / "in", "rb") as stdin:
        sending = alice.send(bob.identity.name, "-", stdin=stdin)
        manifest, got = protocol.receive_file(relay, bob)
        assert sending.wait(10) == 0, sending.tail()
    assert "size" not in manifest and got == body


def test_the_length_of_the_stream_is_as_documented(relay, people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    with relay.session("bob", receiving=True) as bob:
        sending = alice.send(bob.identity.name, tmp_path / "file")
        start = bob.accept(bob.ring()["transfer"])
        got = bytearray()
        status, length, whole = protocol.download(relay, start, got.extend)
        assert (status, length, whole) == (200, str(records.length(200_000)), True)
        assert len(got) == records.length(200_000)
        assert bytes(got) == b"".join(records.encode([b"x" * 200_000]))
        bob.delivered(start.transfer, 200_000, hashlib.sha256(b"x" * 200_000).hexdigest())
        sending.expect(0, 10)


def test_progress_counts_the_content_and_not_the_stream(relay, people):
    """Of a stream in records of 8 bytes a third is no content, which the last reports would show."""
    bob = people("bob")
    receiving = bob.receive()
    piece, count = b"8 bytes." * 1000, 30
    stream = records.record(records.DATA, b"8 bytes.") * 1000

    def paced():
        for _ in range(count):
            time.sleep(0.1)  # A rate: the receiver tells how far it is each half second.
            yield stream
        yield records.record(records.END, hashlib.sha256(piece * count).digest())

    with relay.session("alice") as alice:
        offer = alice.offer(bob.name, protocol.pack(v=0, name="paced", size=count * len(piece)))
        uploading = background(protocol.upload, relay, offer.start(), paced())
        assert offer.delivered(60)["size"] == count * len(piece)
        uploading.result(10)
    receiving.expect(0, 10)
    told = offer.progress
    assert len(told) >= 3 and told == sorted(told) and max(told) <= count * len(piece), told
    assert max(told) > count * len(piece) * 2 // 3, told


BROKEN = {
    "another kind": lambda: records.record(2, b"abc") + b"".join(records.encode([b"abc"])),
    "an empty data record": lambda: records.record(0, b"") + b"".join(records.encode([b"abc"])),
    "a data record that is too long": lambda: (
        records.record(0, b"x" * 65_537) + records.record(1, hashlib.sha256(b"x" * 65_537).digest())
    ),
    "a wrong digest": lambda: records.record(0, b"abc") + records.record(1, bytes(32)),
    "a short end record": lambda: records.record(0, b"abc") + records.record(1, hashlib.sha256(b"abc").digest()[:31]),
    "more than announced": lambda: b"".join(records.encode([b"abcdef"])),
    "less than announced": lambda: b"".join(records.encode([b"ab"])),
    "something behind the end": lambda: b"".join(records.encode([b"abc"])) + b"x",
    "a second end": lambda: b"".join(records.encode([b"abc"])) + records.record(1, bytes(32)),
    "no end record": lambda: records.record(0, b"abc"),
    "nothing": lambda: b"",
    "random bytes": lambda: content.data("random", 100_000),
}


@pytest.mark.parametrize("fault", BROKEN, ids=[name.replace(" ", "-") for name in BROKEN])
def test_relay_client_refuses_a_broken_stream(relay, people, fault):
    bob = people("bob")
    receiving = bob.receive()
    stream = BROKEN[fault]()
    with relay.session("alice") as alice:
        offer = alice.offer(bob.name, protocol.pack(v=0, name="file", size=3))
        start = offer.start()
        uploading = background(protocol.upload, relay, start, iter([stream]), length=len(stream))
        with pytest.raises(protocol.Failed) as failure:
            offer.delivered(15)
        assert failure.value.by == "peer", failure.value
        assert failure.value.code in ("verification_failed", "protocol_error", "too_large"), failure.value
        uploading.exception(15)
    receiving.expect((65, 76), 10)
    assert bob.received() == [] or all(name.endswith(b".part") for name in bob.received()), bob.received()
    assert receiving.err().count("not received") == 1, receiving.err()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"v":0}',
        b'{"v":0,"name":5}',
        b'{"v":0,"name":"a","size":-1}',
        b'{"v":0,"name":"a","size":1e999}',
        b'{"v":0,"name":"a","size":1.0}',
        b'{"v":0,"name":"a","size":1e3}',
        b'{"v":0,"name":"a","size":99999999999999999999999}',
        b'{"v":7,"name":"a","size":1}',
        b"[" * 30_000,
        b'{"v":0,"name":"a","name":"b"}',
        b'\xef\xbb\xbf{"v":0,"name":"a"}',
        b'{"v":0,"name":"a",}',
        b'{"v":0,"name":"a","size":007}',
        b'{"v":0,"name":"\\udc80"}',
    ],
    ids=range(19),
)
def test_relay_client_declines_an_offer_it_cannot_read(relay, people, payload):
    bob = people("bob")
    receiving = bob.receive(once=False)
    with relay.session("alice") as alice:
        offer = alice.offer(bob.name, protocol.b64(payload))
        with pytest.raises(protocol.Failed) as failure:
            offer.start(10)
        assert (failure.value.by, failure.value.code) == ("peer", "protocol_error")
        assert receiving.running(), receiving.tail()
        body = b"still here"
        assert protocol.send_file(relay, alice, bob.name, "next", body)["size"] == len(body)
    assert (bob.inbox / "next").read_bytes() == body


@pytest.mark.parametrize(
    "reply",
    [
        {"v": 0},
        {"v": 0, "offset": -1},
        {"v": 0, "offset": 10**30},
        {"v": 0, "offset": 99},
        {"v": 9, "offset": 0},
        [],
        None,
    ],
    ids=range(7),
)
def test_relay_client_survives_an_acceptance_it_cannot_use(relay, people, tmp_path, reply):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.session("bob", receiving=True) as bob:
        sending = alice.send(bob.identity.name, tmp_path / "file")
        transfer = bob.ring()["transfer"]
        start = bob.accept(transfer, protocol.b64(json.dumps(reply).encode()))
        got = bytearray()
        future = background(protocol.download, relay, start, got.extend)
        sending.wait(15)
        assert sending.popen.returncode in (0, 65, 74, 76, 77), sending.tail()
        if sending.popen.returncode == 0:
            pytest.fail("it said delivered without a confirmation")
        future.exception(15)


def test_relay_client_does_not_believe_a_wrong_confirmation(relay, people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.session("bob", receiving=True) as bob:
        sending = alice.send(bob.identity.name, tmp_path / "file")
        start = bob.accept(bob.ring()["transfer"])
        protocol.download(relay, start)
        bob.delivered(start.transfer, 3, "0" * 64)
        sending.expect((65, 76), 10)
    assert "delivered" not in sending.out(), sending.tail()


def test_every_example_of_the_document_is_what_this_client_sends_and_reads():
    text = DOCUMENT.read_text()
    examples = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", text, re.S)]
    assert len(examples) >= 20
    for example in examples:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", example["id"]), example
        assert json.dumps(example, sort_keys=True, separators=(",", ":")) == json.dumps(
            example, separators=(",", ":")
        ), "examples are in the order of their keys"
        for key, length in (("nonce", 32), ("token", 32), ("transfer", 16), ("key", 32), ("exchangeKey", 32)):
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
            credentials["exchangeKey"],
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
