# SPDX-License-Identifier: Apache-2.0
"""The control connection by hand: frames that break a rule end it with the right code, and only it."""

import json
import os
import struct

import pytest

from harness import protocol, raw
from harness.control import BINARY, CLOSE, PING, PONG, TEXT, Socket, frame
from harness.relay import unique
from harness.waiting import background, until


@pytest.fixture
def control(relay):
    """A logged-in control connection."""
    with Socket(relay) as made:
        yield made.login(protocol.Identity(unique("raw")))


def test_the_upgrade_is_as_documented(relay):
    with Socket(relay, "Sec-WebSocket-Extensions: permessage-deflate") as made:
        assert made.upgrade.status == 101
        assert made.upgrade.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert made.upgrade.header("sec-websocket-protocol") == "relay.v1"
        assert made.upgrade.header("sec-websocket-extensions") is None
        challenge = made.message()
        assert challenge["type"] == "challenge" and challenge["registration"] == "open"
        assert len(protocol.unb64(challenge["nonce"])) == 32


def test_an_origin_of_this_host_is_let_in(relay):
    with Socket(relay, f"Origin: https://127.0.0.1:{relay.port}") as made:
        assert made.upgrade.status == 101


BROKEN = {
    "an unmasked frame": (frame(TEXT, b"{}", masked=False), 1002),
    "an unmasked ping": (frame(PING, b"", masked=False), 1002),
    "RSV1": (frame(TEXT, b"{}", reserved=4), 1002),
    "RSV3": (frame(TEXT, b"{}", reserved=1), 1002),
    "opcode 3": (frame(3, b"{}"), 1002),
    "opcode 11": (frame(11, b""), 1002),
    "a fragmented ping": (frame(PING, b"", final=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "a continuation of nothing": (frame(0, b"{}"), 1002),
    "a text inside a fragmented text": (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), 1002),
    "a binary message": (frame(BINARY, b"{}"), 1003),
    "a fragmented binary message": (frame(BINARY, b"{", final=False) + frame(0, b"}"), 1003),
    "no UTF-8": (frame(TEXT, b"\xc3\x28"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a cut UTF-8 sequence": (frame(TEXT, b"\xe2\x82"), 1007),
    "a message of 65537 bytes": (frame(TEXT, b" " * 65_537), 1009),
    "a message of 65537 bytes in fragments": (
        frame(TEXT, b" " * 8_192, final=False) + frame(0, b" " * 8_192, final=False) * 7 + frame(0, b" "),
        1009,
    ),
    "a length of 2^63": (frame(TEXT, b"", length=1 << 63), {1002, 1009}),
    "a length of 2^62": (frame(TEXT, b"", length=1 << 62), 1009),
    "seventeen fragments": (
        frame(TEXT, b"{", final=False) + frame(0, b" ", final=False) * 15 + frame(0, b"}"),
        {1002, 1008, 1009},
    ),
    "a close frame of one byte": (frame(CLOSE, b"\x03"), 1002),
    "close code 1005": (frame(CLOSE, struct.pack(">H", 1005)), 1002),
    "close code 999": (frame(CLOSE, struct.pack(">H", 999)), 1002),
    "a close reason that is no UTF-8": (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), {1002, 1007}),
}


@pytest.mark.parametrize("fault", BROKEN, ids=[name.replace(" ", "-") for name in BROKEN])
def test_a_broken_rule_closes_with_its_code(control, fault):
    sent, code = BROKEN[fault]
    control.send(sent)
    got = control.closing()
    assert got in (code if isinstance(code, set) else {code}), got
    control.send(frame(CLOSE, struct.pack(">H", 1000)))
    assert control.how_ended(10) in (raw.NOTIFY, raw.TRUNCATED, raw.RESET)


def test_a_close_is_answered(control):
    control.send(frame(CLOSE, struct.pack(">H", 1000) + b"bye"))
    assert control.closing() == 1000
    assert control.how_ended(5) == raw.NOTIFY


def test_a_ping_is_answered_also_between_fragments(control):
    control.send(frame(TEXT, b'{"type":"ping",', final=False) + frame(PING, b"hello") + frame(0, b'"id":"c1"}'))
    seen = [control.frame(), control.frame()]
    assert (PONG, b"hello") in seen, seen
    assert [json.loads(text) for opcode, text in seen if opcode == TEXT] == [{"type": "pong", "id": "c1"}]


def test_the_longest_message_is_taken(control):
    start, end = b'{"type":"ping","id":"c1","ignored":"', b'"}'
    control.send(frame(TEXT, start + b"x" * (65_536 - len(start) - len(end)) + end))
    assert control.message() == {"type": "pong", "id": "c1"}


def test_sixteen_fragments_are_taken(control):
    text = b'{"type":"ping","id":"c1"}'
    control.send(
        frame(TEXT, text[:1], final=False)
        + b"".join(frame(0, text[index : index + 1], final=False) for index in range(1, 15))
        + frame(0, text[15:])
    )
    assert control.message() == {"type": "pong", "id": "c1"}


def test_frames_in_single_bytes_are_understood(control):
    for byte in frame(TEXT, b'{"type":"ping","id":"c1"}'):
        control.send(bytes([byte]))
    assert control.message() == {"type": "pong", "id": "c1"}


BAD_MESSAGES = {
    "no JSON": (b"hello", "bad_message"),
    "an array": (b"[]", "bad_message"),
    "null": (b"null", "bad_message"),
    "no type": (b'{"id":"c1"}', "bad_message"),
    "no id": (b'{"type":"ping"}', "bad_message"),
    "an id with a space": (b'{"type":"ping","id":"a b"}', "bad_message"),
    "an id of 65 letters": (b'{"type":"ping","id":"%s"}' % (b"a" * 65), "bad_message"),
    "an unknown type": (b'{"type":"dance","id":"c1"}', "unknown_type"),
    "a missing field": (b'{"type":"lookup","id":"c1"}', "bad_message"),
    "a number for a name": (b'{"type":"lookup","id":"c1","name":5}', "bad_message"),
    "a name in capitals": (b'{"type":"lookup","id":"c1","name":"BOB"}', "bad_message"),
    "a name of 64 letters": (b'{"type":"lookup","id":"c1","name":"%s"}' % (b"a" * 64), "bad_message"),
    "a second login": (b'{"type":"login","id":"c1","credentials":{}}', ("not_now", "bad_message")),
    "deep nesting": (b'{"type":"ping","id":"c1","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", ("bad_message", None)),
    "a huge number": (
        b'{"type":"progress","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","bytes":1e400}',
        "bad_message",
    ),
    "a number with an exponent": (
        b'{"type":"progress","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","bytes":1e3}',
        "bad_message",
    ),
    "a number with a fraction": (
        b'{"type":"progress","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","bytes":1.0}',
        "bad_message",
    ),
    "a negative number": (
        b'{"type":"progress","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","bytes":-1}',
        "bad_message",
    ),
    "a short transfer": (b'{"type":"cancel","id":"c1","transfer":"EBESEw","code":"cancelled"}', "bad_message"),
    "a transfer with padding": (
        b'{"type":"cancel","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw==","code":"cancelled"}',
        "bad_message",
    ),
    "a relay's code from a client": (
        b'{"type":"cancel","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","code":"stalled"}',
        "bad_message",
    ),
    "no such transfer": (
        b'{"type":"cancel","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","code":"cancelled"}',
        "unknown_transfer",
    ),
    "accepting nothing": (
        b'{"type":"accept","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","payload":"e30"}',
        "unknown_transfer",
    ),
    "a payload of 32769 bytes": (
        json.dumps(
            {
                "type": "offer",
                "id": "c1",
                "to": "bob",
                "wait": True,
                "transfer": "EBESExQVFhcYGRobHB0eHw",
                "payload": protocol.b64(bytes(32_769)),
            }
        ).encode(),
        "bad_message",
    ),
    "a comma at the end": (b'{"type":"ping","id":"c1",}', "bad_message"),
    "a byte order mark": (b'\xef\xbb\xbf{"type":"ping","id":"c1"}', "bad_message"),
    "a number with noughts before it": (b'{"type":"ping","id":"c1","x":007}', "bad_message"),
    "an escape of no meaning": (b'{"type":"ping","id":"c1","x":"\\q"}', "bad_message"),
    "half a surrogate pair": (b'{"type":"ping","id":"c1","x":"\\ud83d"}', "bad_message"),
    "a control character": (b'{"type":"ping","id":"c1","x":"\t"}', "bad_message"),
    "no number": (b'{"type":"ping","id":"c1","x":NaN}', "bad_message"),
    "a key twice": (b'{"type":"ping","id":"c1","id":"c1"}', "bad_message"),
    "a key twice within": (b'{"type":"ping","id":"c1","x":[{"a":1,"\\u0061":2}]}', "bad_message"),
    "something behind it": (b'{"type":"ping","id":"c1"}{}', "bad_message"),
    "a payload of five letters": (
        b'{"type":"accept","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","payload":"AAAAA"}',
        "bad_message",
    ),
    "a payload with bits to spare": (
        b'{"type":"accept","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","payload":"e31"}',
        "bad_message",
    ),
    "a payload of plain base64": (
        b'{"type":"accept","id":"c1","transfer":"EBESExQVFhcYGRobHB0eHw","payload":"+/+/"}',
        "bad_message",
    ),
    "what only the relay says": (
        b'{"type":"welcome","id":"c1","name":"a","session":"s","heartbeat":20}',
        ("unknown_type", "bad_message", "not_now"),
    ),
}


@pytest.mark.parametrize("fault", BAD_MESSAGES, ids=[name.replace(" ", "-") for name in BAD_MESSAGES])
def test_a_bad_message_is_an_error_to_this_client_and_the_connection_stays(control, fault):
    text, code = BAD_MESSAGES[fault]
    control.send(frame(TEXT, text))
    answer = control.message()
    codes = code if isinstance(code, tuple) else (code,)
    if answer["type"] == "pong" and None in codes:
        return
    assert answer["type"] == "error" and answer["code"] in codes, answer
    assert isinstance(answer["message"], str) and answer["message"].isprintable()
    control.say(type="ping", id="after")
    assert control.message() == {"type": "pong", "id": "after"}


def test_nothing_but_login_is_heard_before_login(relay):
    with Socket(relay) as made:
        made.message()
        made.say(type="presence", id="c1", receiving=True)
        answer = made.message()
        assert (answer["type"], answer["code"]) == ("error", "not_now"), answer


@pytest.mark.parametrize("change", ["signature", "host", "nonce", "verb", "name", "key"])
def test_a_signature_over_anything_else_is_refused(relay, change):
    identity, other = protocol.Identity(unique("sig")), protocol.Identity(unique("other"))
    relay.session(identity=identity).close()
    relay.session(identity=other).close()
    with Socket(relay) as made:
        nonce = made.message()["nonce"]
        host, verb = made.host, "login"
        credentials = identity.credentials(
            "register" if change == "verb" else verb,
            "relay.example.com" if change == "host" else host,
            protocol.b64(os.urandom(32)) if change == "nonce" else nonce,
        )
        if change == "signature":
            credentials["signature"] = protocol.b64(other.signing.sign(b"something else"))
        elif change == "name":
            credentials["name"] = other.name
        elif change == "key":
            credentials["key"] = other.key
        made.say(type="login", id="c1", credentials=credentials)
        answer = made.message()
        assert (answer["type"], answer["code"]) == ("error", "login_refused"), answer
        assert made.closing() == 4401


#: Ed25519's neutral element, and a signature that holds with it for every message: R = B, S = 1.
NEUTRAL, FORGED = (1).to_bytes(32, "little"), b"\x58" + b"\x66" * 31 + (1).to_bytes(32, "little")


@pytest.mark.parametrize("verb", ["login", "register"])
@pytest.mark.parametrize("fault", ["key", "signature"])
def test_a_low_order_key_or_forged_signature_is_refused(relay, verb, fault):
    """Keys of low order and of another form than the one of RFC 8032 are no values of their fields."""
    identity = protocol.Identity(unique("forger"))
    with Socket(relay) as made:
        nonce = made.message()["nonce"]
        credentials = identity.credentials(verb, made.host, nonce)
        if fault == "key":
            credentials |= {"key": protocol.b64(NEUTRAL), "signature": protocol.b64(FORGED)}
        else:
            signature = protocol.unb64(credentials["signature"])
            order = 2**252 + 27742317777372353535851937790883648493
            scalar = int.from_bytes(signature[32:], "little") + order
            credentials["signature"] = protocol.b64(signature[:32] + scalar.to_bytes(32, "little"))
        made.say(type=verb, id="c1", credentials=credentials)
        answer = made.message()
        assert (answer["type"], answer["id"], answer["code"]) == ("error", "c1", "bad_message"), answer


def test_an_unknown_name_and_a_wrong_key_look_the_same(relay):
    known = protocol.Identity(unique("known"))
    relay.session(identity=known).close()
    impostor, stranger = protocol.Identity(known.name), protocol.Identity(unique("nobody"))
    seen = []
    for identity in (impostor, stranger):
        with Socket(relay) as made:
            credentials = identity.credentials("login", made.host, made.message()["nonce"])
            made.say(type="login", id="c1", credentials=credentials)
            seen.append(dict(made.message().items()))
            assert made.closing() == 4401
    assert seen[0]["code"] == seen[1]["code"] == "login_refused"
    assert seen[0]["message"].replace(known.name, "") == seen[1]["message"].replace(stranger.name, "")


def test_a_name_belongs_to_its_first_key(relay):
    owner = protocol.Identity(unique("owner"))
    relay.session(identity=owner).close()
    relay.session(identity=owner).close()  # the same key again: no invitation, no complaint
    with pytest.raises(protocol.Refused) as refused:
        relay.session(identity=protocol.Identity(owner.name))
    assert refused.value.code == "name_taken"


def test_a_client_that_says_too_much_waits_and_loses_nothing(control):
    """Twice what may come at once: every message is answered, in its order."""
    count = 4000
    saying = background(lambda: [control.say(type="ping", id=f"c{number}") for number in range(count)])
    assert [control.message()["id"] for _ in range(count)] == [f"c{number}" for number in range(count)]
    assert all(saying.result(5))


def test_a_handful_of_messages_is_heard_before_a_login(relay):
    with Socket(relay) as made:
        made.message()
        for number in range(10):
            made.say(type="ping", id=f"c{number}")
            assert made.message()["code"] == "not_now"
        made.say(type="ping", id="c10")
        assert made.closing() == 1008


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
@pytest.mark.parametrize("logged_in", [False, True], ids=["before-login", "after-login"])
def test_too_many_control_frames_close(relay, opcode, logged_in):
    with Socket(relay) as made:
        if logged_in:
            made.login(protocol.Identity(unique("pinger")))
        made.send(frame(opcode) * 20 + frame(TEXT, b"{}"))
        while (made.frame() or (TEXT,))[0] != TEXT:
            pass
        made.send(frame(opcode) * 2)
        assert made.closing() == 1008
        assert made.how_ended(5) in (raw.NOTIFY, raw.TRUNCATED, raw.RESET)


def test_all_sessions_of_a_name_are_rung_and_the_first_to_accept_gets_it(relay):
    sender = relay.session("alice")
    laptop = relay.session("bob", receiving=True)
    desktop = relay.session(identity=laptop.identity, receiving=True)
    asleep = relay.session(identity=laptop.identity)
    offer = sender.offer(laptop.identity.name, protocol.pack(v=0, name="a"))
    assert laptop.ring()["transfer"] == desktop.ring()["transfer"] == offer.transfer
    desktop.accept(offer.transfer)
    failed = laptop.failed(offer.transfer)
    assert (failed["code"], failed["by"]) == ("accepted_elsewhere", "relay")
    with pytest.raises(protocol.Refused) as refused:
        laptop.accept(offer.transfer)
    assert refused.value.code == "unknown_transfer"
    assert not [each for each in asleep._arrived if each["type"] == "ring"]
    for each in (sender, laptop, desktop, asleep):
        each.close()


def test_the_sender_hears_when_every_session_has_declined(relay):
    sender = relay.session("alice")
    laptop = relay.session("bob", receiving=True)
    desktop = relay.session(identity=laptop.identity, receiving=True)
    offer = sender.offer(laptop.identity.name, protocol.pack(v=0, name="a"))
    laptop.ring(), desktop.ring()
    laptop.decline(offer.transfer)
    assert sender.ask("ping")["type"] == "pong"
    desktop.decline(offer.transfer, "no_space")
    with pytest.raises(protocol.Failed) as failed:
        offer.start()
    assert (failed.value.code, failed.value.by) == ("no_space", "peer")
    for each in (sender, laptop, desktop):
        each.close()


def test_an_offer_waits_for_its_receiver(relay):
    sender, bob = relay.session("alice"), relay.session("bob")
    offer = sender.offer(bob.identity.name, protocol.pack(v=0, name="a"))
    assert offer.states == ["waiting"]
    bob.presence()
    ring = bob.ring()
    assert ring["transfer"] == offer.transfer and ring["from"] == sender.identity.name
    assert ring["key"] == sender.identity.key and "exchangeKey" not in ring
    with pytest.raises(protocol.Refused) as refused:
        sender.offer(bob.identity.name, protocol.pack(v=0, name="a"), transfer=offer.transfer)
    assert refused.value.code == "transfer_exists"
    sender.close()
    failed = bob.failed(offer.transfer)
    assert failed["code"] == "sender_gone", failed
    bob.close()


def test_an_offer_that_cannot_be_made_is_refused_with_its_code(relay):
    with relay.session("alice") as sender, relay.session("bob") as bob:
        with pytest.raises(protocol.Refused) as refused:
            sender.offer("nobody-of-that-name", protocol.pack(v=0, name="a"))
        assert refused.value.code == "unknown_peer"
        with pytest.raises(protocol.Refused) as refused:
            sender.offer(bob.identity.name, protocol.pack(v=0, name="a"), wait=False)
        assert refused.value.code == "peer_offline"
        found = sender.lookup(bob.identity.name)
        assert (found["key"], found["online"]) == (bob.identity.key, False)


def test_a_stranger_cannot_meddle_with_a_transfer(relay):
    sender, bob, eve = (
        relay.session("alice"),
        relay.session("bob", receiving=True),
        relay.session("eve", receiving=True),
    )
    offer = sender.offer(bob.identity.name, protocol.pack(v=0, name="a"))
    bob.ring()
    for attempt in (
        lambda: eve.accept(offer.transfer),
        lambda: eve.decline(offer.transfer),
        lambda: eve.cancel(offer.transfer),
        lambda: eve.delivered(offer.transfer, 1, "0" * 64),
        lambda: bob.delivered(offer.transfer, 1, "0" * 64),
        lambda: sender.accept(offer.transfer),
    ):
        with pytest.raises(protocol.Refused):
            attempt()
    bob.accept(offer.transfer)
    with pytest.raises(protocol.Refused):
        eve.cancel(offer.transfer)
    for each in (sender, bob, eve):
        each.close()


def test_progress_and_delivery_reach_the_sender(relay):
    sender, bob = relay.session("alice"), relay.session("bob", receiving=True)
    offer = sender.offer(bob.identity.name, protocol.pack(v=0, name="b"))
    bob.ring()
    start, body, got = bob.accept(offer.transfer), b"x" * 100_000, bytearray()
    receiving = background(protocol.download, relay, start, got.extend)
    upload = offer.start()
    bob.progress(offer.transfer, 42)
    assert protocol.upload(relay, upload, iter([body]), length=len(body)) == (200, {"bytes": len(body)})
    assert receiving.result(10) == (200, str(len(body)), True) and got == body
    bob.delivered(offer.transfer, len(body), "0" * 64)
    assert offer.delivered()["size"] == len(body)
    assert offer.progress in ([42], [])
    for each in (sender, bob):
        each.close()
    until(lambda: sender.closed is not None, 5, "the end")
