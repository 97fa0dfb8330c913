# SPDX-License-Identifier: Apache-2.0
"""A requester takes what it asked for, and nothing else: other names, more of them, answers to no request, and
names that lead elsewhere are refused, told and counted, with nothing stored."""

import os
import re

import pytest

from harness import protocol
from harness.sealed_stream import Entry
from harness.sealed_tree import Files, Tree, text
from harness.waiting import background

PROTOCOL = 76
#: What would move a cursor, or hide what is shown.
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def mallory(relay):
    """Who shares, and answers with what she likes."""
    with relay.client("mallory") as client:
        client.session.share()
        yield client


@pytest.fixture
def bob(people):
    """Who asks."""
    return people("bob")


def fetch(bob, sharer, *paths):
    """`relay-client fetch` for programs."""
    return bob.run("fetch", sharer.name, *paths, "--output", bob.inbox, "--json")


def refused(heard, what, **options):
    """Answers, and returns how that ends before anything of it was sent."""
    offered = heard.answer(what, **options)
    with pytest.raises(protocol.Failed) as failed:
        offered.start(10)
    return failed.value.by, failed.value.code


#: What is no answer to who wants "pub/a", and how it is offered.
UNASKED: list[tuple[Files, dict[str, bytes | None]]] = [
    ({"b": b"another"}, {}),
    ({"a": b"asked for", "b": b"not asked for"}, {}),
    ({"pub/a": b"in a folder"}, {}),
    ({"A": b"another name"}, {}),
    ({"a": b"answers another request"}, {"answers": os.urandom(16)}),
    ({"a": b"says inside that it answers nothing"}, {"answers": None}),
]


def test_what_was_not_asked_for_is_declined_told_and_counted(relay, bob, mallory):
    fetching = fetch(bob, mallory, "pub/a")
    heard = mallory.requested()
    for what, options in UNASKED:
        assert refused(heard, what, **options) == ("peer", "protocol_error"), what
    # The relay does not ring him for other users, nor for what answers nothing.
    with pytest.raises(protocol.Refused) as offline:
        mallory.offer(bob.name, {"a": b""}, wait=False)
    assert offline.value.code == "peer_offline"
    with relay.client("eve") as eve, pytest.raises(protocol.Refused) as unknown:
        eve.offer(bob.name, {"a": b""}, wait=False, request=heard.request)
    assert unknown.value.code == "unknown_request"
    assert fetching.running() and bob.received() == []
    heard.serve({"a": b"asked for"})
    fetching.expect(0, 10)
    assert bob.received() == [b"a"] and (bob.inbox / "a").read_bytes() == b"asked for"
    assert [each["count"] for each in fetching.events("unasked")] == [len(UNASKED)]
    (warning,) = fetching.events("warning")
    assert f"an offer from {mallory.name} was refused" in warning["message"], warning


def test_a_listing_that_is_something_else_is_declined(bob, mallory):
    listing = bob.run("list", mallory.name, "--json")
    heard = mallory.requested()
    for what in (
        {"listing": b""},
        Tree.of({"other": b""}, sized=False),
        {"listing/a": b""},
        {"listing": b"", "b": b""},
    ):
        assert refused(heard, what) == ("peer", "protocol_error"), what
    heard.serve(Tree.of({"listing": b""}, sized=False))
    listing.expect(0, 10)
    assert listing.events("entry") == []


def entry(name, *, inside):
    """A tree of one file of that name, at the top or in a folder `a`, and what is said of it."""
    file = Entry("file", name, 0 if inside else None, size=6)
    honest = {"a/b": b"stolen"} if inside else {"a": b"stolen"}
    return Tree([*([Entry("folder", "a")] if inside else []), file], [b"stolen"]), Tree.of(honest).summary()


NAMES = {
    "another": "b",
    "parent": "../escaped",
    "far parent": "../" * 12 + "tmp/escaped",
    "only parent": "..",
    "dot": ".",
    "absolute": "/tmp/escaped",
    "below": "a/b",
    "empty": "",
    "NUL": "a\0b",
    "256 bytes": "n" * 256,
    "lone surrogate": "\ud800",
}


@pytest.mark.parametrize(
    ("name", "inside"),
    [pytest.param(name, False, id=word) for word, name in NAMES.items()]
    + [pytest.param(name, True, id=f"{word}, inside") for word, name in NAMES.items() if word != "another"],
)
def test_names_that_were_not_asked_for_are_not_stored(bob, mallory, name, inside):
    """The offer says what was asked for, and the stream brings another name."""
    fetching = fetch(bob, mallory, "a")
    heard = mallory.requested()
    tree, summary = entry(name, inside=inside)
    offered = heard.answer(tree, summary=text(summary | {"answers": heard.request}))
    offered.start()
    background(offered.upload)
    with pytest.raises(protocol.Failed) as failed:
        offered.delivered(10)
    assert (failed.value.by, failed.value.code) == ("peer", "protocol_error"), failed.value
    fetching.expect(PROTOCOL, 10)
    assert bob.received() == [] and not list(bob.home.parent.rglob("escaped*"))
    assert not os.path.exists("/tmp/escaped")


LISTINGS = {
    "parent": b'{"name":"..","type":"folder","modified":0}\n',
    "slash": b'{"name":"a/../../b","type":"file","size":1,"modified":0}\n',
    "absolute": b'{"name":"/etc/passwd","type":"file","size":1,"modified":0}\n',
    "empty": b'{"name":"","type":"folder","modified":0}\n',
    "256 bytes": b'{"name":"' + b"n" * 256 + b'","type":"folder","modified":0}\n',
    "twice": b'{"name":"a","type":"folder","modified":0}\n' * 2,
    "no JSON": b"name\n",
    "another type": b'{"name":"a","type":"door","modified":0}\n',
    "NUL": b'{"name":"a\\u0000b","type":"folder","modified":0}\n',
    "order": b'{"name":"b","type":"folder","modified":0}\n{"name":"a","type":"folder","modified":0}\n',
    "not UTF-8": b'{"name":"a\xff","type":"folder","modified":0}\n',
    "long line": b'{"name":"a","type":"folder","modified":0' + b" " * 2_048 + b"}\n",
    "no end": b'{"name":"a","type":"folder","modified":0}\n{"name":"b"',
}


@pytest.mark.parametrize("body", LISTINGS.values(), ids=LISTINGS)
def test_a_listing_of_another_form_is_none(bob, mallory, body):
    listing = bob.run("list", mallory.name, "--json")
    assert broken(mallory, body) == ("peer", "protocol_error")
    listing.expect(PROTOCOL, 10)
    assert listing.events("entry") == []
    (failed,) = listing.events("failed")
    assert failed["code"] == "protocol_error", failed
    for told in (f"the list from {mallory.name}: ", "is not of the form of a list", "check that both clients"):
        assert told in failed["message"], failed


def broken(mallory, body, timeout=30):
    """She answers with a listing of these bytes; how that ends."""
    offered = mallory.requested().answer(Tree.of({"listing": body}, sized=False))
    offered.start()
    background(offered.upload)
    with pytest.raises(protocol.Failed) as failed:
        offered.delivered(timeout)
    return failed.value.by, failed.value.code


def test_what_another_computer_lists_is_shown_beside_what_is_none(bob, mallory):
    with mallory.again() as desktop:
        desktop.session.share()
        listing = bob.run("list", mallory.name)
        # Offered before the other one ends: what is on its way is waited for.
        good = desktop.requested().answer(
            Tree.of({"listing": b'{"name":"a","type":"folder","modified":0}\n'}, sized=False)
        )
        assert broken(mallory, b"none\n") == ("peer", "protocol_error")
        good.start()
        background(good.upload)
        good.delivered(10)
        listing.expect(PROTOCOL, 10)
    assert listing.out().split() == ["a/"]
    assert "is not of the form of a list" in listing.err(), listing.tail()


def test_what_another_computer_does_not_list_is_told(bob, mallory):
    with mallory.again() as desktop:
        desktop.session.share()
        listing = bob.run("list", mallory.name, "--json")
        heard = mallory.requested()
        desktop.requested().refuse("cannot_read")
        heard.serve(Tree.of({"listing": b'{"name":"a","type":"folder","modified":0}\n'}, sized=False))
        listing.expect(0, 10)
    assert [each["path"] for each in listing.events("entry")] == ["a"]
    (warning,) = listing.events("warning")
    assert f"{mallory.name} cannot read it" in warning["message"], warning


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_listing_that_is_too_long_is_refused_in_words(bob, mallory):
    listing = bob.run("list", mallory.name)
    line = '{"name":"%07d","type":"folder","modified":0}\n'
    body = "".join(line % number for number in range(1_000_001)).encode()
    assert broken(mallory, body, 300) == ("peer", "too_large")
    listing.expect(73, 10)
    assert listing.out() == "" and f"the list from {mallory.name}: it has more than 1,000,000 entries" in listing.err()


def test_what_answers_a_list_and_is_none_is_told_of(bob, mallory):
    listing = bob.run("list", mallory.name, "--timeout", "3s")
    assert refused(mallory.requested(), {"other": b""}) == ("peer", "protocol_error")
    listing.expect(75, 15)
    assert f"an offer from {mallory.name} was refused: it is not what was asked for" in listing.err(), listing.tail()


def test_names_of_a_listing_are_harmless_at_a_terminal(bob, mallory):
    names = sorted(["\x1b]0;owned\x07", "\x9b31m", "a\nb", "a\rb", "invoice\u202efdp.exe"], key=str.encode)
    body = b"".join(text({"name": name, "type": "folder", "modified": 0}).encode() + b"\n" for name in names)
    for words in ((), ("--long",)):
        listing = bob.run("list", mallory.name, *words)
        mallory.requested().serve(Tree.of({"listing": body}, sized=False))
        listing.expect(0, 10)
        assert len(listing.out().splitlines()) == len(names), listing.tail()
        assert not DANGEROUS.search(listing.out() + listing.err()), listing.tail()
