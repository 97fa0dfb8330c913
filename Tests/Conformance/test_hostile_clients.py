# SPDX-License-Identifier: Apache-2.0
"""What relay-client refuses of a client that breaks docs/sealed-format.md, or of a relay that swaps what it carries."""

import signal
import time

import pytest

from harness import content, protocol, sealed, sealed_stream
from harness.sealed import Accept
from harness.sealed_stream import DATA, END, FILE_END, HOLE, PADDING, UNREADABLE, Entry, record
from harness.waiting import background, until

DAMAGE, PROTOCOL = 65, 76


def only(plaintext):
    """A stream of `file` with other content."""
    return lambda sent: sent.beginning + plaintext


ABC = record(DATA, b"abc") + record(FILE_END, b"")
#: What is wrong with the plaintext, of a file of three bytes.
BROKEN = {
    "another kind": only(record(2, b"abc") + ABC + record(END, b"")),
    "an empty data record": only(record(DATA, b"") + ABC + record(END, b"")),
    "no end of the file": only(record(DATA, b"abc") + record(END, b"")),
    "an end of the file that is not empty": only(record(DATA, b"abc") + record(FILE_END, b"x") + record(END, b"")),
    "more than announced": only(record(DATA, b"abcdef") + record(FILE_END, b"") + record(END, b"")),
    "less than announced": only(record(DATA, b"ab") + record(FILE_END, b"") + record(END, b"")),
    "a hole behind the end": only(record(DATA, b"ab") + record(HOLE, (2).to_bytes(8, "big")) + ABC),
    "an empty hole": only(record(HOLE, bytes(8)) + ABC + record(END, b"")),
    "padding that is none": only(record(PADDING, b"\0x") + ABC + record(END, b"")),
    "a reason that is none": only(record(UNREADABLE, b"\0\7")),
    "a second file": only(ABC + ABC + record(END, b"")),
    "something behind the end": only(ABC + record(END, b"") + b"x"),
    "a second end": only(ABC + record(END, b"") * 2),
    "no end": only(ABC),
    "nothing": lambda sent: b"",
    "another form": lambda sent: b"\3" + sent.plaintext()[1:],
    "only a digest": lambda sent: b"\2" + sent.tree.digest + ABC + record(END, b""),
    "another manifest": lambda sent: (
        sealed_stream.write_manifest([Entry("file", "file", size=4)], sent.transfer, sent.owner.signing)[0]
        + record(DATA, b"abcd")
        + record(FILE_END, b"")
        + record(END, b"")
    ),
    "a manifest of another transfer": lambda sent: (
        sent.tree.manifest(bytes(16), sent.owner.signing) + sent.tree.content()
    ),
    "random bytes": lambda sent: content.data("random", 100_000),
}


def refused(bob, receiving, offered, body, code="protocol_error", status=PROTOCOL):
    """The receiver refuses this body, and has nothing of it."""
    uploading = background(offered.upload, body)
    with pytest.raises(protocol.Failed) as failure:
        offered.delivered(15)
    assert (failure.value.by, failure.value.code) == ("peer", code), failure.value
    uploading.exception(15)
    receiving.expect(status, 10)
    assert bob.stored() == [], bob.received()
    assert receiving.err().count("not received") == 1, receiving.err()


@pytest.mark.parametrize("fault", BROKEN, ids=[name.replace(" ", "-") for name in BROKEN])
def test_relay_client_refuses_a_broken_stream(relay, people, fault):
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": b"abc"})
        offered.start()
        refused(bob, receiving, offered, offered.sealed.body(BROKEN[fault](offered.sealed)))


TREE = {"a/b": b"in it", "c": b"abc"}
#: Summaries that the manifest of that tree is not what they say.
ANNOUNCED = {
    "another name": '{"names":["a","d"],"kind":"several"}',
    "names in another order": '{"names":["c","a"],"kind":"several"}',
    "a name less": '{"names":["a"],"kind":"several"}',
    "a name more": '{"names":["a","c","d"],"kind":"several"}',
    "no names": '{"names":[],"kind":"several"}',
    "one folder": '{"names":["a","c"],"kind":"folder"}',
    "one file": '{"names":["a","c"],"kind":"file"}',
    "a stream": '{"names":["a","c"],"kind":"stream"}',
    "fewer entries": '{"names":["a","c"],"kind":"several","entries":2}',
    "more entries": '{"names":["a","c"],"kind":"several","entries":4}',
    "fewer bytes": '{"names":["a","c"],"kind":"several","bytes":7}',
    "more bytes": '{"names":["a","c"],"kind":"several","bytes":9}',
}


@pytest.mark.parametrize("fault", ANNOUNCED, ids=[name.replace(" ", "-") for name in ANNOUNCED])
def test_relay_client_refuses_what_is_not_what_was_offered(relay, people, fault):
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, TREE, summary=ANNOUNCED[fault])
        offered.start()
        refused(bob, receiving, offered, offered.sealed.body())


def altered(at):
    """The body with one bit of it changed."""
    return lambda body: body[:at] + bytes([body[at] ^ 1]) + body[at:][1:]


WHOLE = sealed.CHUNK + sealed.TAG
#: What was done to the sealed chunks, of which there are four.
DAMAGED = {
    "the first bit": altered(0),
    "the last bit": altered(-1),
    "a bit of the third chunk": altered(2 * WHOLE + 5),
    "a chunk is missing": lambda body: body[:WHOLE] + body[2 * WHOLE :],
    "a chunk comes twice": lambda body: body[: 2 * WHOLE] + body[WHOLE:],
    "two chunks are swapped": lambda body: body[WHOLE : 2 * WHOLE] + body[:WHOLE] + body[2 * WHOLE :],
    "it ends in a chunk": lambda body: body[: 3 * WHOLE + 100],
    "it goes on": lambda body: body + body[3 * WHOLE :],
    "it is of another attempt": lambda body: sealed.seal_body(bytes(32), bytes(len(body) - 64)),
}


@pytest.mark.parametrize("fault", DAMAGED, ids=[name.replace(" ", "-") for name in DAMAGED])
def test_relay_client_refuses_chunks_that_were_tampered_with(relay, people, fault):
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": content.data("tampered", 3 * 65_536)})
        offered.start()
        refused(bob, receiving, offered, DAMAGED[fault](offered.sealed.body()), "verification_failed", DAMAGE)


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_relay_client_takes_a_body_without_its_last_chunk_for_one_that_was_cut(relay, people, chunks):
    """Even where the sender has ended it well: nothing of it is stored until the rest has come."""
    bob = people("bob")
    receiving = bob.receive()
    body = content.data("cut", 3 * 65_536)
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": body})
        offered.start()
        uploading = background(offered.upload, offered.sealed.body()[: chunks * WHOLE])
        with pytest.raises(protocol.Failed) as failure:
            offered.delivered(15)
        assert failure.value.code == "receiver_gone", failure.value
        uploading.exception(15)
        assert receiving.running() and bob.stored() == [], receiving.tail()
        again = alice.offer(bob.name, {"file": body}, transfer=offered.sealed.transfer)
        position = again.start()
        assert position.file == 0 and position.offset < max(1, chunks) * 65_536, position
        assert again.upload()[0] == 200
        assert again.delivered() == (1, len(body))
    receiving.expect(0, 10)
    assert (bob.inbox / "file").read_bytes() == body and bob.stored() == [b"file"]


@pytest.mark.parametrize(
    ("reason", "code"), [(1, "source_changed"), (2, "source_changed"), (3, "source_changed"), (4, "cannot_read")]
)
def test_relay_client_says_why_the_sender_cannot_read_on(relay, people, reason, code):
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": b"abc"})
        offered.start()
        plaintext = offered.sealed.beginning + record(DATA, b"ab") + record(UNREADABLE, reason.to_bytes(2, "big"))
        uploading = background(offered.upload, offered.sealed.body(plaintext))
        try:
            alice.session.cancel(offered.attempt, code)
        except protocol.Refused as refused:
            assert refused.code == "unknown_transfer", "who receives it has read why, and may end it first"
        uploading.exception(15)
        if code == "source_changed":
            # It comes again, as another transfer, for which the person has said yes.
            receiving.wait_for(f"it changed while {alice.name} was sending it; it comes again", 10)
            assert bob.stored() == []
            alice.send(bob.name, {"file": b"abcd"})
            receiving.expect(0, 10)
            assert bob.stored() == [b"file"] and (bob.inbox / "file").read_bytes() == b"abcd"
        else:
            assert receiving.wait(10) > 0 and bob.stored() == [], receiving.tail()
    assert receiving.err().count("not received") == (code != "source_changed"), receiving.err()


#: Summaries that are none.
SUMMARIES = [
    "",
    "{}",
    "[]",
    "null",
    '{"names":["a"]}',
    '{"names":5,"kind":"file"}',
    '{"names":[5],"kind":"file"}',
    '{"names":["a"],"kind":"what"}',
    '{"names":["a"],"kind":"file","bytes":-1}',
    '{"names":["a"],"kind":"file","bytes":1e999}',
    '{"names":["a"],"kind":"file","bytes":1.0}',
    '{"names":["a"],"kind":"file","bytes":99999999999999999999999}',
    '{"names":["1","2","3","4","5","6","7","8","9"],"kind":"several"}',
    "[" * 16_000,
    '{"names":["a"],"kind":"file","kind":"file"}',
    '\ufeff{"names":["a"],"kind":"file"}',
    '{"names":["a"],"kind":"file",}',
    '{"names":["a"],"kind":"file","entries":007}',
    '{"names":["\\udc80"],"kind":"file"}',
    '{"names":["a/b"],"kind":"file"}',
    '{"names":[".."],"kind":"folder"}',
    '{"names":[""],"kind":"file"}',
    '{"names":["a"],"kind":"file","more":"' + "x" * 16_400 + '"}',
]


@pytest.fixture
def refuses(relay, people):
    """Asserts that relay-client declines an offer made so, and goes on; `refuses(lambda alice, bob: …)`."""
    bob = people("bob")
    receiving = bob.receive(once=False)

    def check(offer, *codes):
        with relay.client("alice") as alice:
            made = offer(alice, bob)
            with pytest.raises(protocol.Failed) as failure:
                made.start(10)
            assert failure.value.by == "peer" and failure.value.code in codes, failure.value
            assert receiving.running() and "offers" not in receiving.err(), receiving.tail()
        with relay.client("carol") as carol:
            assert carol.send(bob.name, {"next": b"still here"}).sealed.tree.size == 10
        assert (bob.inbox / "next").read_bytes() == b"still here"

    return check


@pytest.mark.parametrize("summary", SUMMARIES, ids=range(len(SUMMARIES)))
def test_relay_client_declines_a_summary_it_cannot_read(refuses, summary):
    refuses(lambda alice, bob: alice.offer(bob.name, {"a": b""}, summary=summary).offer, "protocol_error")


@pytest.mark.parametrize(
    "payload", [b"", b"\1", b"\2", b"{}", bytes(1_141), bytes(2_000), b'{"v":0,"name":"a"}'], ids=range(7)
)
def test_relay_client_declines_what_is_not_sealed(refuses, payload):
    def offer(alice, bob):
        return alice.session.offer(bob.name, protocol.b64(payload))

    refuses(offer, "protocol_error", "bad_prekey")


def passed_on(sealed_offer, session, bob, payload=None):
    """An offer, as `session` makes it."""
    attempt = protocol.b64(sealed_offer.attempt)
    return session.offer(bob.name, payload or sealed_offer.payload, transfer=attempt)


def test_relay_client_declines_an_offer_of_another_attempt(refuses):
    def offer(alice, bob):
        outgoing = alice.peer.offer(alice.session.lookup(bob.name), {"a": b""})
        return alice.session.offer(bob.name, outgoing.payload)

    refuses(offer, "protocol_error")


def test_relay_client_declines_an_offer_that_another_one_made(relay, refuses):
    def offer(alice, bob):
        with relay.client("mallory") as mallory:
            made = mallory.peer.offer(alice.session.lookup(bob.name), {"a": b""})
        return passed_on(made, alice.session, bob)

    refuses(offer, "protocol_error")


def test_relay_client_declines_an_offer_to_another_one(relay, refuses):
    def offer(alice, bob):
        with relay.client("carol") as carol:
            made = alice.peer.offer(alice.session.lookup(carol.name), {"a": b""})
        return passed_on(made, alice.session, bob)

    refuses(offer, "protocol_error")


def test_relay_client_takes_an_attempt_once(relay, people):
    """Also when the program was started again, which would take the same transfer in another attempt."""
    bob = people("bob")
    receiving = bob.receive(once=False)
    with relay.client("alice") as alice:
        first = alice.send(bob.name, {"a": b"once"}).sealed
        (bob.inbox / "a").unlink()
        for _ in range(2):
            with pytest.raises(protocol.Failed) as failure:
                passed_on(first, alice.session, bob).start(10)
            assert (failure.value.by, failure.value.code) == ("peer", "stale_offer"), failure.value
            # What the first one came in is removed beside.
            until(lambda: bob.received() == [], 10, "the end of the parts")
            assert receiving.err().count("received") <= 1, receiving.tail()
            receiving.signal(signal.SIGINT)
            receiving.wait(10)
            receiving = bob.receive(once=False)
        assert "offers" not in receiving.err(), receiving.tail()
        alice.send(bob.name, {"a": b"once"}, transfer=first.transfer)
    assert bob.stored() == [b"a"]


@pytest.mark.parametrize("days", [-2, 2, 400])
def test_relay_client_declines_an_offer_of_another_day(refuses, days):
    at = int(time.time() * 1000) + days * sealed.DAY
    refuses(lambda alice, bob: alice.offer(bob.name, {"a": b""}, at=at).offer, "stale_offer")


def test_relay_client_declines_a_month_that_it_holds_no_key_of(refuses):
    def offer(alice, bob):
        made = alice.peer.offer(alice.session.lookup(bob.name), {"a": b""})
        epoch = int.from_bytes(made.sealed[1:5], "big") - 2
        payload = made.sealed[:1] + epoch.to_bytes(4, "big") + made.sealed[5:]
        return passed_on(made, alice.session, bob, protocol.b64(payload))

    refuses(offer, "bad_prekey")


def changed(rung, at, by):
    """An acceptance with one byte of it changed."""
    payload = bytearray(protocol.unb64(rung.sealed.accept()))
    payload[at] ^= by
    return protocol.b64(bytes(payload))


REPLIES = {
    "nothing": lambda rung: "",
    "another suite": lambda rung: changed(rung, 0, 3),
    "damaged": lambda rung: changed(rung, -1, 1),
    "not sealed": lambda rung: protocol.pack(v=0, offset=0),
    "another file": lambda rung: rung.sealed.accept(Accept(file=2)),
    "behind the file": lambda rung: rung.sealed.accept(Accept(offset=4)),
    "behind everything": lambda rung: rung.sealed.accept(Accept(file=1, offset=1)),
    "very far": lambda rung: rung.sealed.accept(Accept(file=2**64 - 1, offset=2**64 - 1)),
}


@pytest.mark.parametrize("reply", REPLIES, ids=[name.replace(" ", "-") for name in REPLIES])
def test_relay_client_survives_an_acceptance_it_cannot_use(relay, people, tmp_path, reply):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "file")
        rung = bob.ring()
        start = bob.session.accept(rung.attempt, REPLIES[reply](rung))
        future = background(protocol.download, relay, start)
        failed = rung.failed()
        assert (failed["by"], failed["code"]) == ("peer", "protocol_error"), failed
        sending.expect(PROTOCOL, 15)
        future.exception(15)
    assert "\ndelivered" not in sending.err(), sending.tail()


def test_relay_client_does_not_believe_a_wrong_confirmation(relay, people, tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    for said in ({"digest": bytes(32)}, {"entries": 2}, {"entries": 0}, {"size": 4}, {"size": 2}):
        alice = people("alice")
        with relay.client("bob", receiving=True) as bob:
            sending = alice.send(bob.name, tmp_path / "file")
            rung = bob.ring()
            rung.accept()
            rung.download()
            rung.delivered(**said)
            sending.expect(DAMAGE, 10)
        assert "\ndelivered" not in sending.err(), sending.tail()


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\0",
        b"\7",
        b"\0\2",
        sealed.wanted_note([(0, 0)]),
        sealed.wanted_note([(0, 2)]),
        sealed.wanted_note([(0, 1)])[:-1],
    ],
    ids=range(7),
)
def test_relay_client_refuses_a_note_that_is_none(relay, people, tmp_path, note):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "file")
        rung = bob.ring()
        rung.accept(Accept(wants=True))
        failed = {}

        def wanted(contents):
            bob.session.note(rung.attempt, rung.sealed.note(note))
            failed.update(rung.failed())
            return [True]

        with pytest.raises(sealed.Refused):
            rung.download(wanted=wanted)
        assert (failed["by"], failed["code"]) == ("peer", "protocol_error"), failed
        sending.expect(PROTOCOL, 10)


@pytest.fixture
def sent(relay, people, tmp_path):
    """relay-client that sends a large file, the session that it rings, and what it is rung with."""
    alice = people("alice")
    content.file(tmp_path / "file", "to be refused", 50_000_000)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "file")
        yield sending, bob.session, bob.ring()


def test_relay_client_refuses_a_note_before_it_has_sent_anything(sent):
    sending, session, rung = sent
    rung.accept(Accept(wants=True))
    session.note(rung.attempt, rung.sealed.want([(0, 1)]))
    failed = rung.failed()
    assert (failed["by"], failed["code"]) == ("peer", "protocol_error"), failed
    sending.expect(PROTOCOL, 10)


def test_relay_client_refuses_a_note_of_who_wants_everything(relay, sent):
    sending, session, rung = sent
    with protocol.Download(relay, rung.accept()) as body:
        assert next(iter(body))
        session.note(rung.attempt, rung.sealed.want([(0, 1)]))
        failed = rung.failed()
    assert (failed["by"], failed["code"]) == ("peer", "protocol_error"), failed
    sending.expect(PROTOCOL, 10)
