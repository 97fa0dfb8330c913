# SPDX-License-Identifier: Apache-2.0
"""A relay keeps the prekey that a login brings, and looks at its form alone (docs/wire-protocol.md, section 1.4)."""

import json

import pytest

from harness import protocol, sealed
from harness.relay import unique


def again(relay, identity):
    """The same user logs in once more."""
    protocol.Session(relay, identity).login().close()


def test_what_a_login_has_brought_is_what_others_seal_to(relay):
    bob = protocol.Identity(unique("bob"))
    with relay.session("alice") as alice:
        relay.session(identity=bob).close()
        assert "prekey" not in alice.lookup(bob.name)
        seed = bytes(range(32))
        published = bob.publish(seed=seed)
        again(relay, bob)
        looked = alice.lookup(bob.name)["prekey"]
        assert looked == published
        # As good to seal to as the one that bob made.
        key, signature = protocol.unb64(looked["key"]), protocol.unb64(looked["signature"])
        party = sealed.Party(bob.name, protocol.unb64(bob.key))
        assert sealed.verify(party.identity, signature, sealed.prekey_signed(party, looked["epoch"], key))
        said = sealed.seal(b"for bob alone", key, b"info")
        assert bob.owner(looked["epoch"], seed).exchange.open(said, b"info") == b"for bob alone"
        bob.prekey = None
        again(relay, bob)
        assert alice.lookup(bob.name)["prekey"] == published, "a login without one changes nothing"


def test_the_latest_one_counts(relay):
    bob = protocol.Identity(unique("bob"))
    with relay.session("alice") as alice:
        relay.session(identity=bob).close()
        # The next month, another one of the same month, and one after a clock was far ahead.
        for epoch in (24_321, 24_322, 24_322, 24_380, 24_323):
            published = bob.publish(epoch)
            again(relay, bob)
            assert alice.lookup(bob.name)["prekey"] == published, epoch
        bob.publish(24_322)
        again(relay, bob)
        assert alice.lookup(bob.name)["prekey"] == published, "a copy of the profile whose clock is behind"


def test_a_prekey_outlives_the_relay_and_a_login_that_brings_the_same_writes_nothing(own_relay):
    relay = own_relay(registration="open")
    bob = protocol.Identity(unique("bob"))
    published = bob.publish()
    relay.session(identity=bob).close()
    kept = relay.state / "prekeys" / bob.name
    files = (relay.state / "users.json", kept)
    written = [file.stat().st_ino for file in files]
    again(relay, bob)
    assert [file.stat().st_ino for file in files] == written
    relay.stop()
    relay.start()
    with relay.session("alice") as alice:
        assert alice.lookup(bob.name)["prekey"] == published
    assert json.loads(kept.read_text()) == {"key": bob.key, "prekey": published}
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("verb", ["login", "register"])
@pytest.mark.parametrize(
    "change",
    [
        lambda prekey: None,
        lambda prekey: [prekey],
        lambda prekey: {},
        lambda prekey: prekey | {"epoch": -1},
        lambda prekey: prekey | {"epoch": 2**32},
        lambda prekey: prekey | {"epoch": "24322"},
        lambda prekey: prekey | {"key": prekey["key"][:-2]},
        lambda prekey: prekey | {"key": prekey["key"] + "AA"},
        lambda prekey: prekey | {"key": "AA=="},
        lambda prekey: prekey | {"key": 7},
        lambda prekey: prekey | {"signature": prekey["signature"][:-2]},
        lambda prekey: prekey | {"signature": protocol.b64(bytes(64))},
        lambda prekey: {key: prekey[key] for key in ("epoch", "key")},
    ],
    ids=range(13),
)
def test_what_has_not_the_form_of_a_prekey_is_refused(relay, verb, change):
    bob = protocol.Identity(unique("bob"))
    if verb == "login":
        relay.session(identity=bob).close()
    made = bob.publish()
    bob.prekey = change(made)
    with protocol.Session(relay, bob) as session:
        challenge = session.next(lambda each: each["type"] == "challenge")
        credentials = bob.credentials(verb, session.host, challenge["nonce"])
        if bob.prekey is None:
            # What is nothing is left out.
            assert session.ask(verb, credentials=credentials, prekey=None)["type"] == "welcome"
            return
        with pytest.raises(protocol.Refused) as refused:
            session.ask(verb, credentials=credentials, prekey=bob.prekey)
        assert refused.value.code == "bad_message"
        # Nothing has changed: the same connection may still log in.
        assert session.ask(verb, credentials=credentials, prekey=made)["type"] == "welcome"
