# SPDX-License-Identifier: Apache-2.0
"""What is asked of `relay-client share` in every odd form leads to nothing outside of what is shared, also while things
are moved, and who shares goes on."""

import contextlib
import os
import threading

import pytest

from harness import protocol, sealed
from harness.client import Asked, Rung
from harness.sealed_peer import milliseconds
from harness.sealed_tree import text
from harness.waiting import until

SECRET = b"secret"


@pytest.fixture
def place(tmp_path):
    """`pub`, which is shared, beside what is not, and with every kind of link out of it."""
    outside, top = tmp_path / "outside", tmp_path / "pub"
    for folder, body in ((outside, SECRET), (top, b"inside"), (top / "folder", b"inside")):
        folder.mkdir()
        (folder / "key").write_bytes(body)
        (folder / "inner.txt").write_bytes(body)
    for name, target in {
        "absolute": outside,
        "relative": "../outside",
        "file": outside / "key",
        "chain": "absolute",
        "within": "folder",
        "root": "/",
        "self": "/proc/self/root",
        "process": "/proc/self/cwd",
        "loop": "loop",
    }.items():
        (top / name).symlink_to(target)
    (top / "e\u0301").write_bytes(b"decomposed")
    return tmp_path


@pytest.fixture
def alice(people):
    """Who shares."""
    return people("alice")


@pytest.fixture
def mallory(relay):
    """Who may ask, and asks for what she likes."""
    with relay.client("mallory") as client:
        yield client


def share(alice, place, mallory):
    """`relay-client share` of `pub`, waited for until it can be asked."""
    sharing = alice.run("share", place / "pub", "--with", mallory.name)
    sharing.wait_for("sharing ", 20)
    return sharing


def ask(client, sharer, what):
    """Asks for JSON that need not be any."""
    party, prekey = client.peer.published(client.session.lookup(sharer.name))
    request = os.urandom(16)
    payload = sealed.seal_request(client.peer.owner, party, prekey, request, milliseconds(), what)
    return Asked(client, sharer.name, client.session.request(sharer.name, protocol.b64(payload), protocol.b64(request)))


def answer(client, asked):
    """What comes of it: the code that it is refused with, or who rings."""

    def is_answer(message):
        return message["type"] in ("ring", "refused") and message.get("request") == asked.request

    found = client.session.next(is_answer, 15, "an answer")
    if found["type"] == "refused":
        asked.withdraw()
        return found["code"]
    return Rung(client, client.peer.ring(found), found["transfer"])


#: Paths that are none.
NO_PATHS = {
    "parent": "..",
    "parent of it": "pub/..",
    "beside": "pub/../outside/key",
    "far": "../" * 20 + "etc/passwd",
    "within and out": "pub/folder/../../outside/key",
    "dot": ".",
    "dot within": "pub/./key",
    "absolute": "/etc/passwd",
    "absolute name": "/pub/key",
    "root": "/",
    "two slashes": "pub//key",
    "slash behind": "pub/folder/",
    "NUL": "pub/key\0.txt",
    "NUL behind": "pub/..\0",
    "256 bytes": "pub/" + "n" * 256,
    "too deep": "/".join(["d"] * 1_026),
}

#: Paths that are ones, of what is not shared.
NOT_SHARED = {
    "beside": "outside/key",
    "backslashes": "pub\\..\\outside\\key",
    "percent": "pub/%2e%2e/outside/key",
    "percent slash": "pub%2Fkey",
    "three dots": "pub/.../outside/key",
    "dot and blank": "pub/.. /outside/key",
    "wide dots": "pub/\uff0e\uff0e/outside/key",
    "wide slash": "pub/..\uff0foutside\uff0fkey",
    "division slash": "pub\u2215key",
    "zero width": "pub/.\u200b./outside/key",
    "composed": "pub/\u00e9",
    "case": "PUB/key",
    "blank behind": "pub/key ",
    "dot behind": "pub/key.",
    "blank before": " pub/key",
    "home": "~/outside/key",
    "home of root": "pub/~root",
    "variable": "pub/$HOME",
    "star": "pub/*",
    "stream": "pub/key::$DATA",
    "newline": "pub/key\n",
    "drive": "C:\\outside",
    "below a file": "pub/key/..key",
    "below a file twice": "pub/key/inner.txt",
    "deepest": "pub/" + "/".join(["d"] * 1_024),
    "longest name": "pub/" + "n" * 255,
}
#: What asks for nothing.
NO_QUERIES = (
    "",
    "{",
    "null",
    "{}",
    '["pub/key"]',
    '{"fetch":"pub/key"}',
    '{"fetch":[["pub","key"]]}',
    '{"fetch":[]}',
    '{"fetch":[""]}',
    '{"fetch":["pub/key","pub/folder/key"]}',
    '{"fetch":["pub/\\ud800"]}',
    '{"list":"pub","fetch":["pub"]}',
    '{"list":null}',
    '{"list":1}',
)
#: Links are shown as what they are, and followed nowhere.
LINKS = ("absolute", "relative", "file", "chain", "within", "root", "self", "process", "loop")


def test_no_odd_path_leads_anywhere(alice, place, mallory):
    sharing = share(alice, place, mallory)
    for paths, code in ((NO_PATHS, "protocol_error"), (NOT_SHARED, "not_shared")):
        for what, path in paths.items():
            for query in ({"fetch": [path]}, {"list": path}, {"fetch": ["pub/key", path + "/x"]}):
                if len(path) > 2_000 and "fetch" in query and len(query["fetch"]) > 1:
                    continue
                asked = ask(mallory, alice, text(query))
                assert answer(mallory, asked) == code, (what, query)
    for what in NO_QUERIES:
        assert answer(mallory, ask(mallory, alice, what)) == "protocol_error", what
    rung = answer(mallory, ask(mallory, alice, text({"fetch": ["pub/e\u0301"]})))
    rung.accept()
    assert rung.download().files == [b"decomposed"]
    rung.delivered()
    assert sharing.running() and not any(word in sharing.err() for word in ("\0", "\u200b.")), sharing.tail()


def test_no_link_is_a_way(alice, place, mallory):
    sharing = share(alice, place, mallory)
    for link in LINKS:
        for below in ("", "/key", "/inner.txt", "/etc/passwd", "/outside/key", "/self/root/etc/passwd"):
            asked = ask(mallory, alice, text({"fetch": [f"pub/{link}{below}"]}))
            assert answer(mallory, asked) == "not_shared", (link, below)
            if below:
                asked = ask(mallory, alice, text({"list": f"pub/{link}{below}"}))
                assert answer(mallory, asked) == "not_shared", (link, below)
    everything = mallory.request(alice.name, {"fetch": ["pub"]}).fetch().contents
    assert set(everything.files) == {b"inside", b"decomposed"} and sharing.running()


@contextlib.contextmanager
def moved(*names):
    """Renames the first to the second, the next to the third and so on, and back, again and again."""
    stop = threading.Event()

    def move():
        while not stop.is_set():
            for old, new in names:
                os.rename(old, new)
            for old, new in reversed(names):
                os.rename(new, old)

    moving = threading.Thread(target=move)
    moving.start()
    try:
        yield
    finally:
        stop.set()
        moving.join()


@pytest.mark.parametrize("what", ["the shared folder", "the folder it is in", "a folder in it"])
def test_what_is_moved_while_it_is_read_leads_nowhere(alice, place, mallory, what):
    """A folder changes places with a link to another one that has the same names in it."""
    inside, outside = place / "in", place / "outside"
    for folder, body in ((inside / "pub" / "folder", b"inside"), (outside / "pub" / "folder", SECRET)):
        folder.mkdir(parents=True)
        (folder / "key").write_bytes(body)
    (outside / "pub" / "folder" / "secret").touch()
    (outside / "folder").symlink_to(outside / "pub" / "folder")
    here = {"the shared folder": inside / "pub", "the folder it is in": inside, "a folder in it": inside / "pub/folder"}
    folder = here[what]
    there = outside / folder.relative_to(inside) if folder != inside else outside
    link, away = place / "link", place / "away"
    link.symlink_to(there)
    sharing = alice.run("share", inside / "pub", "--with", mallory.name)
    sharing.wait_for("sharing ", 20)
    answers = {"found": 0, "refused": 0}
    queries = [
        text({"fetch": ["pub/folder"]}),
        text({"fetch": ["pub/folder/key"]}),
        text({"fetch": ["pub"]}),
        text({"list": "pub/folder"}),
    ]
    with moved((folder, away), (link, folder)):
        for number in range(60):
            asked = ask(mallory, alice, queries[number % len(queries)])
            found = answer(mallory, asked)
            if isinstance(found, str):
                assert found in ("not_shared", "cannot_read"), found
                answers["refused"] += 1
                continue
            with contextlib.suppress(protocol.Failed, protocol.Refused, sealed.Refused, AssertionError, OSError):
                found.accept()
                found.download(timeout=5)
                found.delivered()
                answers["found"] += 1
            asked.withdraw()
            for body in found.contents.files:
                assert SECRET not in body, (found.summary, body)
    assert answers["found"] > 0 and sharing.running(), answers
    # What was offered anew meanwhile is rung for on the other connection.
    with mallory.again() as again:
        assert again.request(alice.name, {"fetch": ["pub/folder/key"]}).fetch().contents.files == [b"inside"]


def test_a_transfer_begun_for_another_user_is_neither_continued_nor_cut(relay, alice, place, mallory):
    """A transfer of another one is not gone on with, and not cut, for who names it."""
    sharing = alice.run("share", place / "pub")
    sharing.wait_for("sharing ", 20)
    with relay.client("bob") as bob:
        rung = bob.request(alice.name, {"fetch": ["pub/key"]}).ring()
        rung.accept()
        contents = rung.download()
        resume = {"transfer": rung.transfer, "manifest": protocol.b64(contents.digest)}
        other = mallory.request(alice.name, {"fetch": ["pub/key"], "resume": resume}).fetch()
        assert other.transfer != rung.transfer and other.contents.files == [b"inside"]
        rung.delivered()
        sharing.wait_for(f'delivered "key".* to {bob.name}', 10)


def test_who_cannot_read_a_list_is_told_of(alice, place, mallory):
    """The person who shares hears why a list that was sent is of no use."""
    sharing = share(alice, place, mallory)
    for path, code, told in (
        ("pub", "protocol_error", "'s client cannot make sense of it"),
        ("pub/folder", "too_large", "it has more entries than"),
    ):
        asked = mallory.request(alice.name, {"list": path})
        rung = asked.ring()
        rung.accept()
        mallory.session.cancel(rung.attempt, code)
        sharing.wait_for(f'{mallory.name} does not get the list of "{path}": .*{told}', 10)
        asked.withdraw()
    assert sharing.running()


def test_a_flood_of_requests_is_limited_and_told(relay, alice, place, mallory, people):
    """Of one who asks without end, eight are answered at once; another one who asks is served as ever."""
    bob = people("bob")
    sharing = alice.run("share", place / "pub", "--with", mallory.name, "--with", bob.name, "--json")
    until(lambda: sharing.events("sharing"), 20, sharing.tail)
    asked = [ask(mallory, alice, text({"fetch": ["pub/key"]})) for _ in range(60)]
    refused = [mallory.session.next(lambda message: message["type"] == "refused", 30, "refused") for _ in asked[8:]]
    assert {each["code"] for each in refused} == {"too_many_requests"}
    (warning,) = sharing.events("warning")
    assert f"a request of {mallory.name} was refused" in warning["message"], warning
    for number in range(3):
        fetching = bob.run("fetch", alice.name, "pub/inner.txt", "--output", bob.inbox, "--json")
        fetching.expect(0, 15)
        assert fetching.events("received"), number
    # When those are over, there is room for as many again.
    for _ in range(8):
        mallory.ring().decline()
    with mallory.again() as again:

        def taken():
            found = answer(again, ask(again, alice, text({"fetch": ["pub/key"]})))
            return not isinstance(found, str) and found

        found = until(taken, 15, "room for another one", step=0.2)
        found.accept()
        assert found.download().files == [b"inside"]
        found.delivered()
    assert sharing.running() and len(sharing.events("requested")) == 8 + 3 + 1
