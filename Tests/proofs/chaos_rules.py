# SPDX-License-Identifier: Apache-2.0
"""What must be true of transfers that were broken at random: nothing is lost, nothing comes twice, and no part is
blamed for what happened to another one. Each rule yields what is wrong, in words; the history is all that they look at.

The events are those of harness.history, of clients called `sender N` and `receiver N`, and these of the test:

| event | fields |
| --- | --- |
| `began` | `pair`, `file`, `sha256` |
| `broke` | `kind`, `pair` and `side` (None: all clients use it), `until` (the end of it) |
| `ended` | `pair`, `file`, `status` (the last exit status of the sender, None: it did not end), `gives_up` |
| `stored` | `pair`, `file`, `sha256`: one for each file in the folder that is whole |
"""

from __future__ import annotations

import collections
import re
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.history import Event, History

#: What a client may say about why a transfer did not go on, by the part that it blames.
PEER, OWN, RELAY, STALLED, LATE = "the peer's connection", "its own connection", "the relay", "silence", "lateness"
#: Who starts when no connection can be made ends at once.
ABSENT = "the relay that is not there"
INTERRUPTED_BY_PEER, INTERRUPTED, ROOM, OTHER = "the peer's person", "its own person", "the disk", "something else"
_WORDS = (
    (r"the connection of \S+ was cut", PEER),
    (r"our own connection (was cut|did not reach the relay)", OWN),
    (r" interrupted it", INTERRUPTED_BY_PEER),
    (r"no room", ROOM),
    (r"no bytes moved", STALLED),
    (r"did not (come back|send|answer|accept|take)|was not receiving in time|gave up", LATE),
    (r"relay cannot do it now|about to stop|relay does not know the transfer|connection to the relay", RELAY),
    (r"^interrupted\b", INTERRUPTED),
    (r"^cannot connect to", ABSENT),
)
#: For the message of an end that comes with one.
_CODES = {"no_space": ROOM, "timed_out": LATE, "stalled": STALLED, "unavailable": RELAY, "cluster_unavailable": RELAY}
_CUT = {"own": {OWN, RELAY}, "other": {PEER}}
#: What is waited for in vain for long enough is late.
_LONG = {"own": {OWN, RELAY, STALLED}, "other": {PEER, STALLED, LATE}}
#: Of breaks of one client: what it may say itself, and what the other one may.
CLIENTS: dict[str, dict[str, set[str]]] = {
    "killed": _CUT,
    "connection cut": _CUT,
    "interrupted": {"own": {INTERRUPTED}, "other": {INTERRUPTED_BY_PEER}},
    "stopped": {"own": set(), "other": set()},
    "stopped for long": _LONG,
    "black hole": {"own": set(), "other": set()},
    "black hole for long": _LONG,
    "disk full": {"own": {ROOM}, "other": {ROOM}},
    "clock set": {"own": set(), "other": set()},
}
_NO_PART: set[str] = set()
#: Of breaks of what all use: what each client may say.
SHARED: dict[str, set[str]] = {
    "node killed": {OWN, PEER, RELAY},
    "node restarted": {RELAY},
    "node frozen": _NO_PART,
    "node frozen for long": {OWN, PEER, RELAY, STALLED},
    "Redis killed": {RELAY},
    "Redis frozen": {RELAY},
    "Redis emptied": {RELAY},
    "Redis connections closed": {RELAY},
    "Redis unreachable": {RELAY},
    "balancer restarted": {OWN, PEER, RELAY, ABSENT},
    "balancer reloaded": _NO_PART,
    "links cut": {OWN, PEER, RELAY},
    "packets lost": _NO_PART,
    "line slow": _NO_PART,
}
#: After its end a break may still be noticed for so long: by a client that tries again only now.
ECHO_SECONDS = 20.0
#: A part of a transfer, which its receiver keeps.
PART = re.compile(r"\.relay-[0-9a-f]{32}\.part")


def blamed(event: Event) -> str | None:
    """Which part an event of a client blames, if it blames any."""
    if event["event"] == "reconnecting":
        return RELAY
    if event["event"] not in ("interrupted", "failed"):
        return None
    text = event.get("message", "")
    for pattern, part in _WORDS:
        if re.search(pattern, text):
            return part
    return _CODES.get(event.get("code", ""), OTHER)


def allowed(broke: Event, pair: int, side: str) -> set[str]:
    """What a break lets a client say."""
    if broke.get("pair") is None:
        return SHARED[broke["kind"]]
    if broke["pair"] != pair:
        return set()
    return CLIENTS[broke["kind"]]["own" if broke["side"] == side else "other"]


def _side_and_pair(who: str) -> tuple[str, int] | None:
    side, _, number = who.partition(" ")
    return (side, int(number)) if side in ("sender", "receiver") and number.isdigit() else None


def no_part_is_blamed_falsely(history: History) -> Iterator[str]:
    """A part that a client blames was broken, and not later than that."""
    breaks = history.events("broke")
    for event in history.events():
        client, part = _side_and_pair(event["who"]), blamed(event)
        if client is None or part is None:
            continue
        side, pair = client
        reasons: set[str] = set()
        for broke in breaks:
            if broke["at"] <= event["at"] <= broke["until"] + ECHO_SECONDS:
                reasons |= allowed(broke, pair, side)
        if part not in reasons:
            own = [
                f"{each['kind']} ({each.get('side') or 'all'})" for each in breaks if each.get("pair") in (None, pair)
            ]
            yield f"{event['who']} blames {part} ({event.get('message')!r}); broken: {', '.join(own) or 'nothing'}"


def nothing_is_lost(history: History) -> Iterator[str]:
    """Each transfer is delivered and equal, or both sides were told why not, and its person had given up."""
    delivered = {(event["who"], event.get("file")) for event in history.events("delivered")}
    stored = {(event["pair"], event["file"], event["sha256"]) for event in history.events("stored")}
    ended = {event["file"]: event for event in history.events("ended")}
    for began in history.events("began"):
        pair, file = began["pair"], began["file"]
        end = ended.get(file)
        is_stored = (pair, file, began["sha256"]) in stored
        if end is None or end["status"] is None:
            yield f"{file} never ended"
        elif (f"sender {pair}", file) in delivered:
            if not is_stored:
                yield f"{file} was delivered, and is not there"
        elif not end["gives_up"]:
            yield f"{file} is lost: exit status {end['status']}"
        elif not is_stored:
            yield from _untold(history, pair, file, end)


def _untold(history: History, pair: int, file: str, end: Event) -> Iterator[str]:
    """Who was not told of an end that was a person's decision: the one who offered it always is, and the one who was
    offered it."""
    # A program that is interrupted before it has begun has nothing to say.
    has_begun = bool(history.events(who=f"sender {pair}", file=file)) or end["status"] != -signal.SIGINT
    if has_begun and (not end["status"] or end["status"] < 0):
        yield f"{file}: the sender has not said why it is not delivered (exit status {end['status']})"
    receiver = history.events(who=f"receiver {pair}", file=file)
    began = any(event["event"] in ("started", "resumed", "progress") for event in receiver)
    if began and not any(event["event"] in ("failed", "interrupted", "withdrawn") for event in receiver):
        yield f"{file}: the receiver was not told why it does not come"


def nothing_comes_twice(history: History) -> Iterator[str]:
    """Of each transfer there is one file, it has been delivered once, and there is nothing that was not sent."""
    sent = {event["file"]: event for event in history.events("began")}
    seen: set[tuple[int, str]] = set()
    for event in history.events("stored"):
        place = (event["pair"], event["file"])
        if event["file"] not in sent or sent[event["file"]]["pair"] != event["pair"]:
            yield f"{event['file']} is there, and was not sent to {event['pair']}"
        elif place in seen:
            yield f"{event['file']} is there twice"
        elif event["sha256"] != sent[event["file"]]["sha256"]:
            yield f"{event['file']} is not what was sent"
        seen.add(place)
    # Gone through once: a long soak has thousands of files, and hundreds of thousands of events.
    delivered = collections.Counter((event["who"], event.get("file")) for event in history.events("delivered"))
    received = collections.defaultdict(set)
    for event in history.events("received"):
        received[event["who"], event.get("file")].add(event.get("path"))
    for file, began in sent.items():
        said, paths = delivered[f"sender {began['pair']}", file], received[f"receiver {began['pair']}", file]
        if said > 1:
            yield f"{file} was delivered {said} times"
        if len(paths) > 1:
            yield f"{file} was received {len(paths)} times: {', '.join(map(str, sorted(map(str, paths))))}"


def what_is_said_is_true(history: History) -> Iterator[str]:
    """Each checksum that a client says is that of what was sent, and each line is one of docs/json-events.md."""
    sent = {event["file"]: event["sha256"] for event in history.events("began")}
    for name in ("delivered", "received"):
        for event in history.events(name):
            if event.get("sha256") not in (None, sent.get(event.get("file", ""))):
                yield f"{event['who']} says {name} of {event.get('file')} with another checksum"
    for event in history.events("garbled"):
        yield f"{event['who']}: {event['text']}"


RULES = (nothing_is_lost, nothing_comes_twice, what_is_said_is_true, no_part_is_blamed_falsely)


def problems(history: History) -> list[str]:
    """What any rule says."""
    return [f"{rule.__name__}: {problem}" for rule in RULES for problem in rule(history)]


def planted(history: History, kind: str) -> bool:
    """Makes a history a wrong one, as a fault of the product would; False where it has nothing of the kind to change.

    Every kind has to be found by the rules: it is how they are shown to be able to fail.
    """
    stored, sent = history.events("stored"), history.events("began")
    if not stored or not sent:
        return False
    event = stored[0]
    pair = event["pair"]
    if kind == "lost":
        # One that was delivered: who had given up may have had it, or not.
        delivered = {(each["who"], each.get("file")) for each in history.events("delivered")}
        ours = [each for each in stored if (f"sender {each['pair']}", each["file"]) in delivered]
        if not ours:
            return False
        history.forget(ours[0])
    elif kind == "twice":
        history.add("test", "stored", pair=pair, file=event["file"], sha256=event["sha256"])
    elif kind == "changed":
        history.forget(event)
        history.add("test", "stored", pair=pair, file=event["file"], sha256="0" * 64)
    elif kind == "blamed":
        # Of a pair that nothing happened to.
        hurt = {each.get("pair") for each in history.events("broke")}
        others = [each for each in sent if each["pair"] not in hurt]
        if None in hurt or not others:
            return False
        other = others[0]
        name = f"sender {other['pair']}"
        history.add(name, "interrupted", file=other["file"], message="the connection of bob was cut; sending again")
    elif kind == "unended":
        ended = history.events("ended", file=event["file"])
        if not ended:
            return False
        history.forget(ended[0])
    else:
        raise AssertionError(f"there is nothing called {kind} to plant")
    return True


PLANTS = ("lost", "twice", "changed", "blamed", "unended")
