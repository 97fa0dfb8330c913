# SPDX-License-Identifier: Apache-2.0
"""A reader and writer of the sealed format, made from docs/sealed-format.md alone, opens what the other one sealed.

The vectors of Tests/vectors/sealed were written by either side, and the tests of Sealing read them as well. With
RELAY_WRITE_VECTORS set, those of this side are written again.
"""

import json
import os
import random

import pytest

from harness import sealed, sealed_stream, sealed_vectors
from harness.sealed import Refused
from harness.sealed_stream import Entry, StreamReader

SIDES = ["swift", "python"]


@pytest.fixture(scope="module", autouse=True)
def _written():
    if "RELAY_WRITE_VECTORS" in os.environ:
        sealed_vectors.write(sealed_vectors.make())


@pytest.fixture(scope="module", params=SIDES)
def vectors(request):
    return sealed_vectors.read(request.param)


def hexed(values, *names):
    return [bytes.fromhex(values[name]) for name in names]


def opened(vectors, attempt):
    """Offer, acceptance and keys of an attempt."""
    alice, bob = sealed_vectors.owner(vectors["alice"]), sealed_vectors.owner(vectors["bob"])
    payload, name, seed = hexed(attempt, "offer", "attempt", "fresh")
    offer = sealed.open_offer(payload, alice.party, bob, name, attempt["time"])
    fresh = sealed.Exchange(seed)
    assert fresh.public == offer.fresh
    answer = bytes.fromhex(attempt["accept"]["payload"])
    accept, answered = sealed.open_accept(answer, offer, fresh, bob.party)
    return offer, accept, answered, sealed.Keys.derive(payload, answer, offer.random + answered)


def test_what_is_kept_is_what_is_made():
    kept, made = sealed_vectors.read("python"), sealed_vectors.make()
    for name in ("alice", "bob", "chunks", "refused"):
        assert kept[name] == made[name]
    for one, other in zip(kept["attempts"], made["attempts"], strict=True):
        assert {**one["stream"], "body": ""} == {**other["stream"], "body": ""}
    assert [each["what"] for each in kept["requests"]] == [each["what"] for each in made["requests"]]


def test_fingerprints_and_prekeys_are_those_of_the_vectors(vectors):
    for values in (vectors["alice"], vectors["bob"]):
        owner = sealed_vectors.owner(values)
        assert sealed.fingerprint(owner.party.identity) == values["fingerprint"]
        assert [part.hex() for part in owner.prekey()] == [values["prekey"], values["signature"]]
        key, signature = hexed(values, "prekey", "signature")
        assert sealed.verify(owner.party.identity, signature, sealed.prekey_signed(owner.party, owner.epoch, key))
        for seed in values["seeds"]:
            assert owner.seed.hex() == seed
            owner.ratchet()


def test_offers_and_acceptances_open_and_lead_to_the_same_keys(vectors):
    for attempt in vectors["attempts"]:
        offer, accept, answered, keys = opened(vectors, attempt)
        assert (offer.time, offer.transfer.hex()) == (attempt["time"], attempt["transfer"])
        assert (offer.random.hex(), offer.text) == (attempt["random"], attempt["summary"])
        said = attempt["accept"]
        assert (accept.file, accept.offset, accept.wants) == (said["file"], said["offset"], said["wants"])
        assert [(file, at, value.hex()) for file, at, value in accept.samples] == [
            (each["file"], each["block"], each["digest"]) for each in said["samples"]
        ]
        assert answered.hex() == said["random"]
        named = attempt["keys"]
        assert [named["content"], named["senderNotes"], named["receiverNotes"], named["delivered"]] == [
            keys.content.hex(),
            keys.sender_notes.hex(),
            keys.receiver_notes.hex(),
            keys.delivered.hex(),
        ]


def test_notes_and_delivered_open_to_what_was_sealed(vectors):
    for attempt in vectors["attempts"]:
        *_, keys = opened(vectors, attempt)
        for side, key in ((True, keys.sender_notes), (False, keys.receiver_notes)):
            for count, note in enumerate(note for note in attempt["notes"] if note["isSenders"] == side):
                plaintext, payload = hexed(note, "plaintext", "payload")
                assert sealed.open_note(key, count, payload) == plaintext
                assert sealed.seal_note(key, count, plaintext) == payload
                with pytest.raises(Refused):
                    sealed.open_note(key, count + 1, payload)
        said = attempt["delivered"]
        found = sealed.open_delivered(keys.delivered, bytes.fromhex(said["payload"]))
        assert found == (bytes.fromhex(said["digest"]), said["entries"], said["bytes"])


def test_streams_are_sealed_and_read_alike(vectors):
    for attempt in vectors["attempts"]:
        offer, *_, keys = opened(vectors, attempt)
        stream = attempt["stream"]
        plaintext, body, manifest = hexed(stream, "plaintext", "body", "digest")
        assert sealed.seal_body(keys.content, plaintext) == body
        assert b"".join(sealed.open_body(keys.content, body)) == plaintext
        sender = sealed_vectors.owner(vectors["alice"]).party.identity
        reader = StreamReader(plaintext, offer.transfer, sender)
        if stream["entries"]:
            contents = reader.read(offer.summary)
        else:
            contents = reader.resume(manifest, [(due.get("size"), due["offset"]) for due in stream["due"]])
        assert contents.entries == [sealed_vectors.entry(each) for each in stream["entries"]]
        assert [file.hex() for file in contents.files] == stream["files"]
        assert contents.digest == manifest


def test_requests_open_to_what_was_asked(vectors):
    alice, bob = sealed_vectors.owner(vectors["alice"]), sealed_vectors.owner(vectors["bob"])
    for request in vectors["requests"]:
        name, payload = hexed(request, "request", "payload")
        opened = sealed.open_request(payload, alice.party, bob, request["time"])
        assert (opened.request, opened.time) == (name, request["time"])
        assert opened.what == json.loads(request["what"])


def test_chunks_of_any_number_are_sealed_alike(vectors):
    for chunk in vectors["chunks"]:
        assert sealed_vectors.chunk(bytes.fromhex(chunk["content"]), chunk["number"], chunk["length"]) == chunk


def test_a_malformed_stream_is_refused_with_its_code(vectors):
    offer, *_ = opened(vectors, vectors["attempts"][0])
    sender = sealed_vectors.owner(vectors["alice"]).party.identity
    for refused in vectors["refused"]:
        summary = json.loads(refused["summary"]) if "summary" in refused else None
        with pytest.raises(Refused) as caught:
            StreamReader(bytes.fromhex(refused["plaintext"]), offer.transfer, sender).read(summary)
        assert caught.value.code == refused["code"], refused["why"]
        if summary:
            # It is the summary that is wrong: without it nothing would be.
            StreamReader(bytes.fromhex(refused["plaintext"]), offer.transfer, sender).read()


def test_what_is_swapped_does_not_open(vectors):
    one, two = vectors["attempts"]
    alice, bob = sealed_vectors.owner(vectors["alice"]), sealed_vectors.owner(vectors["bob"])
    (first, name), (_, other) = hexed(one, "offer", "attempt"), hexed(two, "offer", "attempt")
    swapped = sealed.Party("alicia", alice.party.identity), sealed.Party("alice", bob.party.identity)
    for sender, attempt in ((alice.party, other), (swapped[0], name), (swapped[1], name)):
        with pytest.raises(Refused):
            sealed.open_offer(first, sender, bob, attempt, one["time"])
    with pytest.raises(Refused, match="stale_offer"):
        sealed.open_offer(first, alice.party, bob, name, one["time"] + sealed.DAY + 1)
    offer, *_ = opened(vectors, one)
    fresh = sealed.Exchange(bytes.fromhex(one["fresh"]))
    with pytest.raises(Refused):
        sealed.open_accept(bytes.fromhex(two["accept"]["payload"]), offer, fresh, bob.party)
    body = bytes.fromhex(one["stream"]["body"])
    with pytest.raises(Refused):
        list(sealed.open_body(bytes.fromhex(two["keys"]["content"]), body))


@pytest.mark.parametrize("seed", [*range(20), None])
def test_any_tree_is_read_and_any_cut_of_it_is_refused(seed):
    """The same ones, and in each run another one."""
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    print(f"seed {seed}")
    chance = random.Random(seed)
    owner = sealed.Owner("alice", chance.randbytes(32), sealed_vectors.EPOCH, chance.randbytes(32))
    entries: list[Entry] = []
    files: list[bytes] = []

    def fill(parent, depth):
        for name in sorted(
            {chance.choice("abc") + chance.choice("é-x") for _ in range(chance.randrange(5))}, key=str.encode
        ):
            if depth < 4 and chance.random() < 0.4:
                entries.append(Entry("folder", name, parent))
                fill(len(entries) - 1, depth + 1)
            else:
                files.append(chance.randbytes(chance.choice([0, 1, 50, 70_000])))
                entries.append(Entry("file", name, parent, size=len(files[-1])))

    fill(None, 0)
    transfer, content = chance.randbytes(16), chance.randbytes(32)
    manifest, _ = sealed_stream.write_manifest(entries, transfer, owner.signing)
    body = sealed.seal_body(content, manifest + sealed_stream.write_content(files, 1_000))
    plaintext = b"".join(sealed.open_body(content, body))
    contents = StreamReader(plaintext, transfer, owner.party.identity).read()
    assert (contents.entries, contents.files) == (entries, files)
    cut = chance.randrange(len(body))
    with pytest.raises(Refused):
        list(sealed.open_body(content, body[:cut]))
    with pytest.raises(Refused):
        StreamReader(plaintext[: chance.randrange(len(plaintext))], transfer, owner.party.identity).read()
