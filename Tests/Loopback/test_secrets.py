# SPDX-License-Identifier: Apache-2.0
"""Nothing that was sent, and nothing that opens a door, is in what the server prints, at its most talkative."""

import itertools

import pytest

from harness import content, executables, protocol, raw, sealed
from harness.pairs import Pair
from harness.waiting import background, until
from proofs import secrets

CANARY = "canary-3f9a1c7e"


def test_the_servers_log_holds_no_secret(own_relay, tmp_path):
    relay = own_relay(registration="invite", level="trace")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    secrets = {CANARY}
    code = relay.invite()
    secrets.add(code)
    relay.person("carol", tmp_path, login=False).login(env={"RELAY_INVITE": code})
    relay.person("dave", tmp_path, login=False).login(env={"RELAY_INVITE": code}, expect=77)
    name = f"{CANARY}-name.txt"
    (tmp_path / name).write_bytes(f"{CANARY}-payload".encode() * 1000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / name).expect(0, 15)
    receiving.expect(0, 5)

    identities = [protocol.Identity(f"{each}-py") for each in ("erin", "frank")]
    for identity in identities:
        relay.session(identity=identity, invitation=relay.invite()).close()
    pair = Pair.__new__(Pair)
    pair.relay, pair.source, pair.timeout, pair.connections = relay, None, 15, []
    pair.sender, pair.receiver = (protocol.Session(relay, identity).login() for identity in identities)
    pair.receiver.presence()
    with pair:
        offer = pair.sender.offer(identities[1].name, protocol.pack(v=0, name=f"{CANARY}.pdf", size=3))
        transfer = pair.receiver.ring()["transfer"]
        start = pair.receiver.accept(transfer)
        secrets.add(start.token)
        # A token in the wrong place, as people and balancers do it: still not in the log.
        for target in (f"/upload?token={start.token}", f"/{start.token}", f"/healthz?token={start.token}"):
            with raw.Connection(relay.address, relay.ca) as connection:
                connection.send(raw.request("GET", target, f"Referer: https://x/{CANARY}", f"User-Agent: {CANARY}"))
                connection.answer()
        download = pair.connect()
        download.send(raw.request("GET", f"/download?token={start.token}"))
        token = offer.start().token
        secrets.add(token)
        upload = pair.connect()
        upload.send(raw.request("PUT", f"/upload?token={token}", "Content-Length: 1000", body=CANARY.encode()))
        download.head()
        upload.close()
        pair.receiver.failed(transfer)
        pair.sender.send(type="dance", id="x", secret=CANARY)
        pair.sender.send(type=CANARY, id="y")
        pair.sender.ask("ping")
    relay.stop()
    log = relay.logs()
    assert len(log) > 200, "a server at level trace says something"
    for secret in secrets:
        assert secret not in log, [line for line in log.splitlines() if secret in line][:3]
    forged = [line for line in log.splitlines() if "\x1b" in line or "\r" in line]
    assert not forged, forged


def test_nothing_of_a_client_forges_a_line_of_the_log(own_relay):
    relay = own_relay(registration="open", level="trace")
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(b"GET /%0d%0aFORGED HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: a\x1b[31mFORGED\r\n\r\n")
        connection.answer()
    session = protocol.Session(relay, protocol.Identity("mallory"))
    session.next(lambda message: message["type"] == "challenge")
    credentials = session.identity.credentials("register", session.host, protocol.b64(bytes(32)))
    session.send(type="register", id="c1", credentials={**credentials, "agent": "x\nFORGED\x1b[31m"})
    assert session.next(lambda message: message["id"] == "c1")["type"] == "error"
    session.close()
    relay.stop()
    for line in relay.logs().splitlines():
        assert not line.startswith("FORGED") and "\x1b" not in line, line


def test_no_key_of_an_attempt_is_written_down(relay, people):
    """Neither in the journal beside the parts nor in the profile, in bytes or as text."""
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": content.data("no key", 5_000_000)})
        offered.start()
        body = offered.sealed.body()
        # All but the last chunk, and then nothing: the receiver keeps what it has and waits for more.
        pieces = itertools.chain(
            [body[: -sealed.CHUNK]], iter(lambda: until(lambda: not receiving.running(), 30, "x"), True)
        )
        background(offered.upload, pieces)
        until(lambda: content.largest(bob.inbox) > 1_000_000, 20, "a part of it")
        (part,) = bob.parts()
        until(lambda: (part / "journal").stat().st_size > 0, 5, "a journal")
        receiving.kill()
        keys = [
            getattr(offered.sealed.keys, name) for name in ("content", "sender_notes", "receiver_notes", "delivered")
        ]
        keys += offered.sealed.secrets
    written = {path: path.read_bytes() for path in [*part.rglob("*"), *bob.profile.rglob("*")] if path.is_file()}
    assert part / "journal" in written and part / "content/file" in written
    for path, found in written.items():
        for key in keys:
            for form in (key, key.hex().encode(), protocol.b64(key).encode()):
                assert form not in found, path


@pytest.mark.slow
@pytest.mark.parametrize("case", secrets.CASES)
def test_no_decision_depends_on_a_secret_that_is_compared(binaries, tmp_path, case):
    if executables.REPOSITORY / ".build" not in binaries.parents and not (binaries / "ConstantTime").exists():
        pytest.skip("these are the programs of a package: there is no ConstantTime beside them")
    seen = secrets.compared(binaries, tmp_path, case)
    assert seen.is_good, seen.said


@pytest.mark.parametrize(
    ("case", "seen", "is_good"),
    [
        ("token", (0, 0, 0, ""), True),
        ("token", (0, 1, 1, secrets.TAG), False),
        ("open", (0, 2, 1, secrets.TAG), True),
        ("open", (0, 1, 1, "another place"), False),
        ("open", (0, 2, 2, secrets.TAG), False),
        # What has not seen the answer itself has seen nothing.
        ("open", (0, 0, 0, secrets.TAG), False),
        ("open", (9, 1, 1, secrets.TAG), False),
        ("planted", (0, 3, 2, ""), True),
        ("planted", (0, 0, 0, ""), False),
    ],
)
def test_a_case_is_good_only_with_the_decisions_it_expects(case, seen, is_good):
    assert secrets.Compared(case, *seen).is_good is is_good


def test_a_program_that_is_not_there_is_told(tmp_path):
    with pytest.raises(AssertionError, match="there is no ConstantTime in"):
        secrets.compared(tmp_path, tmp_path, "open")


def test_the_keys_of_an_attempt_are_gone_with_it_and_never_at_the_relay(relay, tmp_path):
    found = secrets.kept(relay, tmp_path)
    print(secrets.table_of_keys(*found[:2]))
    assert list(secrets.problems_of_keys(*found)) == []


def test_keys_that_stay_that_were_never_seen_and_that_a_relay_has_are_told():
    names = (*secrets.GONE, *secrets.MAY_STAY)
    running, over = dict.fromkeys(names, 2), dict.fromkeys(names, 0) | dict.fromkeys(secrets.MAY_STAY, 1)
    of_relay = dict.fromkeys(names, 0) | {"a name": 3}
    assert list(secrets.problems_of_keys(running, over, of_relay)) == []
    for name in secrets.GONE:
        unseen, left = running | {name: 0}, over | {name: 1}
        assert list(secrets.problems_of_keys(unseen, over, of_relay)) == [f"{name}: not found while it was in use"]
        assert list(secrets.problems_of_keys(running, left, of_relay)) == [
            f"{name}: still in 1 places of the receiver's memory"
        ]
    for name in names:
        (told,) = secrets.problems_of_keys(running, over, of_relay | {name: 1})
        assert told == f"{name}: in the relay's memory"
    (told,) = secrets.problems_of_keys(running, over, of_relay | {"a name": 0})
    assert told == "a name was not found in the relay's memory"


def test_a_relay_makes_no_file_and_writes_to_none_while_it_carries_one(own_relay, tmp_path):
    assert list(secrets.stored(own_relay(registration="open", level="notice"), tmp_path)) == []


def test_what_is_written_to_a_file_is_seen():
    lines = (
        '7 openat(6</state>, "users", O_RDONLY|O_CLOEXEC) = 27</state/users>',
        "7 write(25<socket:[12]>, ..., 69) = 69",
        '7 openat(6</state>, "users.new", O_WRONLY|O_CREAT, 0600) = 27</state/users.new>',
        "7 pwrite64(27</state/users.new>, ..., 69, 0) = 69",
        '7 rename("users.new", "users") = 0',
        "7 write(27</state/traffic.json.new>, ..., 69) = 69",
    )
    assert len(secrets.on_disk("\n".join(lines[:2]))) == 0 and len(secrets.on_disk("\n".join(lines))) == 3


def test_neither_a_relay_nor_a_client_that_is_aborted_leaves_a_core_file(own_relay, tmp_path):
    problems, unseen = secrets.cores(*secrets.aborted(lambda: own_relay(registration="open"), tmp_path))
    print(unseen)
    assert not problems
