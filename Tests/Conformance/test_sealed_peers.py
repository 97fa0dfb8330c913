# SPDX-License-Identifier: Apache-2.0
"""Two who were made from docs/sealed-format.md alone exchange sealed transfers, at first without a relay."""

import os

import pytest

from harness import content, protocol, sealed, sealed_stream
from harness.protocol import b64
from harness.sealed import Accept, Refused
from harness.sealed_peer import SealedPeer, this_month
from harness.sealed_stream import Entry
from harness.sealed_tree import Tree
from harness.waiting import background

FILES = {"b/c": b"first", "b/é": b"", "b/empty/": None, "a": b"x" * 70_000}
#: The same, in the order of the format.
PATHS = ["a", "b", "b/c", "b/empty", "b/é"]


def peer(name="alice", **options):
    """A user with new keys."""
    return SealedPeer(protocol.Identity(name), **options)


def said_of(person):
    """What a relay says of a user who is looked up."""
    return {"name": person.name, "key": person.identity.key, "prekey": person.prekey()}


def ring(sender, outgoing, **changed):
    """How an offer arrives."""
    said = {"from": sender.name, "key": sender.identity.key}
    return {**said, "transfer": b64(outgoing.attempt), "payload": outgoing.payload, **changed}


def accepted(files, position=None, **options):
    """(what alice sends, what bob gets), once bob has accepted."""
    alice, bob = peer("alice"), peer("bob")
    outgoing = alice.offer(said_of(bob), files, **options)
    incoming = bob.ring(ring(alice, outgoing))
    outgoing.accepted(incoming.accept(position))
    return outgoing, incoming


def test_a_tree_is_in_the_order_of_the_format_and_arrives():
    outgoing, incoming = accepted(FILES)
    assert incoming.summary == {"names": ["a", "b"], "kind": "several", "entries": 5, "bytes": 70_005}
    assert incoming.transfer == outgoing.transfer == outgoing.attempt
    body = outgoing.body()
    assert len(body) == sealed.body_length(len(outgoing.plaintext()))
    contents = incoming.read(body[at : at + 999] for at in range(0, len(body), 999))
    assert contents.paths == PATHS and contents.files == [b"x" * 70_000, b"first", b""]
    assert outgoing.delivered(incoming.delivered()) == (5, 70_005)
    with pytest.raises(Refused):
        outgoing.delivered(incoming.delivered(digest=bytes(32)))


@pytest.mark.parametrize(
    ("files", "kind"),
    [({"a": b"x"}, "file"), ({"a/": None}, "folder"), ({"a/b": b"", "a/c": b""}, "folder"), (FILES, "several")],
)
def test_a_summary_names_the_kind(files, kind):
    assert Tree.of(files).summary()["kind"] == kind
    assert Tree.of(files, sized=False).summary()["kind"] == ("folder" if files == {"a/": None} else "stream")


def test_a_size_that_is_not_known_is_left_out():
    outgoing, incoming = accepted(Tree.of({"stdin": b"some"}, sized=False))
    assert incoming.summary == {"names": ["stdin"], "kind": "stream", "entries": 1}
    assert incoming.read([outgoing.body()]).files == [b"some"]
    assert outgoing.delivered(incoming.delivered()) == (1, 4)


@pytest.mark.parametrize("position", [(0, 1), (0, 70_000), (1, 0), (1, 5), (2, 0), (3, 0)])
def test_a_transfer_goes_on_where_it_was(position):
    tree = Tree.of(FILES)
    sample = (0, 0, sealed.digest(b"x" * 65_536))
    outgoing, incoming = accepted(tree, Accept(*position, samples=(sample,)))
    assert outgoing.plaintext().startswith(b"\2" + tree.digest)
    assert incoming.resume([outgoing.body()], tree, *position).files == tree.files
    assert outgoing.delivered(incoming.delivered()) == (5, 70_005)


def test_what_it_cannot_go_on_with_is_refused():
    tree = Tree.of(FILES)
    with pytest.raises(Refused, match="source_changed"):
        accepted(tree, Accept(0, 1, samples=((0, 1, bytes(32)),)))
    with pytest.raises(Refused, match="protocol_error"):
        accepted(tree, Accept(3, 1))
    outgoing, incoming = accepted(tree, Accept(1, 0))
    with pytest.raises(Refused, match="source_changed"):
        incoming.resume([outgoing.body()], Tree.of(FILES | {"z": b""}), 1)


def test_only_what_is_wanted_is_sent():
    outgoing, incoming = accepted(FILES, Accept(wants=True))
    assert len(outgoing.beginning) % sealed.CHUNK == 0
    # A sender that waits for an answer sends whole chunks, so the manifest can be read.
    first = sealed.seal_chunk(outgoing.keys.content, 0, outgoing.beginning)

    def pieces():
        yield first
        yield outgoing.body()[len(first) :]

    def wanted(contents):
        assert contents.paths == PATHS
        outgoing.note(incoming.want([(1, 1)], last=False))
        assert not outgoing.wanted.ended
        outgoing.note(incoming.want([]))
        return outgoing.wanted.files

    assert incoming.read(pieces(), wanted).files == [b"first"]
    assert outgoing.delivered(incoming.delivered()) == (3, 5)


@pytest.mark.parametrize(
    "notes",
    [
        [b""],
        [b"\0"],
        [b"\1\1"],
        [b"\0\2"],
        [sealed.wanted_note([(0, 0)])],
        [sealed.wanted_note([(0, 4)])],
        [sealed.wanted_note([(0, 3)], last=False), sealed.wanted_note([(1, 0)])],
        [sealed.wanted_note([]), sealed.wanted_note([])],
        [sealed.wanted_note([(0, 1)])[:-1]],
    ],
    ids=range(9),
)
def test_notes_that_are_none_are_refused(notes):
    wanted = sealed.Wanted(3)
    for note in notes[:-1]:
        wanted.add(note)
    with pytest.raises(Refused, match="protocol_error"):
        wanted.add(notes[-1])


@pytest.mark.parametrize("length", [65_530, 65_531, 65_532, 65_535, 65_536, 65_537, 1, 131_072])
def test_padding_fills_the_chunk(length):
    padded = sealed_stream.padding(length)
    assert (length + len(padded)) % 65_536 == 0 and len(padded) < 65_536 + 5


def test_identities_are_pinned_and_attempts_are_taken_once():
    alice, bob, mallory = peer("alice"), peer("bob"), peer("bob")
    outgoing = alice.offer(said_of(bob), FILES)
    with pytest.raises(Refused, match="identity_changed"):
        alice.offer(said_of(mallory), FILES)
    bob.ring(ring(alice, outgoing))
    with pytest.raises(Refused, match="stale_offer"):
        bob.ring(ring(alice, outgoing))
    other = peer("alice")
    with pytest.raises(Refused, match="identity_changed"):
        bob.ring(ring(other, other.offer(said_of(bob), FILES)))


@pytest.mark.parametrize("month", [-2, 2, 12])
def test_a_prekey_of_another_month_is_refused(month):
    with pytest.raises(Refused, match="bad_prekey"):
        peer("alice").offer(said_of(peer("bob", epoch=this_month() + month)), FILES)


def test_a_prekey_that_another_one_signed_is_refused():
    bob, mallory = peer("bob"), peer("bob")
    with pytest.raises(Refused, match="bad_prekey"):
        peer("alice").offer({**said_of(bob), "prekey": mallory.prekey()}, FILES)


def test_the_key_of_the_month_before_is_kept_and_no_older_one():
    alice, bob = peer("alice"), peer("bob", epoch=this_month() - 1)
    offers = [alice.offer(said_of(bob), FILES) for _ in range(2)]
    bob.owner.ratchet()
    assert bob.ring(ring(alice, offers[0])).summary["entries"] == 5
    bob.owner.ratchet()
    with pytest.raises(Refused, match="bad_prekey"):
        bob.ring(ring(alice, offers[1]))


def test_an_offer_of_another_day_is_refused():
    alice, bob = peer("alice"), peer("bob")
    for at in (1, 2**63):
        with pytest.raises(Refused, match="stale_offer"):
            bob.ring(ring(alice, alice.offer(said_of(bob), FILES, at=at)))


def request(asker, sharer, what, at):
    """A request's payload, and its number."""
    name = os.urandom(16)
    prekey = (sharer.owner.epoch, sharer.owner.prekey()[0])
    return sealed.seal_request(asker.owner, sharer.owner.party, prekey, name, at, what), name


def test_a_request_is_opened_by_the_one_it_is_for():
    alice, bob, eve = peer("alice"), peer("bob"), peer("eve")
    payload, name = request(alice, bob, '{"fetch":["a","b/c"]}', 1_000)
    opened = sealed.open_request(payload, alice.owner.party, bob.owner, 2_000)
    assert (opened.request, opened.time, opened.what) == (name, 1_000, {"fetch": ["a", "b/c"]})
    for asker, sharer, now in ((eve, bob, 0), (alice, eve, 0), (alice, bob, 1_001 + sealed.DAY)):
        with pytest.raises(Refused):
            sealed.open_request(payload, asker.owner.party, sharer.owner, now)
    for at in (0, 1, 5, 21, 1_500):
        damaged = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        with pytest.raises(Refused):
            sealed.open_request(damaged, alice.owner.party, bob.owner, 2_000)


def test_the_offer_that_answers_names_the_request():
    name = os.urandom(16)
    _, incoming = accepted({"a": b""}, answers=name)
    assert incoming.summary["answers"] == b64(name)


def test_hostile_names_can_be_written_and_are_refused():
    for name in ("..", "", "a/b", "a\0b", "n" * 256, "a\ud800b"):
        outgoing, incoming = accepted(Tree.named(name, b"x"), summary='{"names":[],"kind":"file"}')
        with pytest.raises(Refused, match="protocol_error: a name"):
            incoming.read([outgoing.body()])
    outgoing, incoming = accepted(Tree([Entry("folder", "a", 7)], []), summary='{"names":["a"],"kind":"folder"}')
    with pytest.raises(Refused, match="a folder that is none"):
        incoming.read([outgoing.body()])


def test_two_clients_exchange_a_tree_through_a_relay(relay):
    with relay.client("alice") as alice, relay.client("bob", receiving=True) as bob:
        receiving = background(bob.receive)
        body = content.data("between clients", 1_000_000)
        sent = alice.send(bob.name, {"folder/a": body, "folder/b/": None})
        got = receiving.result(10)
        assert got.contents.paths == ["folder", "folder/a", "folder/b"] and got.contents.files == [body]
        assert sent.attempt == got.attempt == got.transfer


def test_two_clients_agree_on_what_is_wanted_through_a_relay(relay):
    with relay.client("alice") as alice, relay.client("bob", receiving=True) as bob:
        offered = alice.offer(bob.name, {"a": b"old", "b": b"new", "c": b"old"})
        rung = bob.ring()
        rung.accept(Accept(wants=True))

        def wanted(contents):
            rung.want([(1, 1)])
            return [False, True, False]

        receiving = background(rung.download, wanted=wanted)
        assert offered.start().wants

        def pieces():
            yield sealed.seal_chunk(offered.sealed.keys.content, 0, offered.sealed.beginning)
            assert offered.wants() == [False, True, False]
            yield offered.sealed.body()[sealed.CHUNK + sealed.TAG :]

        assert offered.upload(pieces())[0] == 200
        assert receiving.result(10).files == [b"new"]
        rung.delivered()
        assert offered.delivered() == (1, 3)
