# SPDX-License-Identifier: Apache-2.0
"""What must be true of every history, whatever was broken meanwhile. Each rule yields what is wrong, in words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .history import Event, History

# The exit status of a sender that gave up: it does not know whether its file was stored.
GAVE_UP = 75
# A presence, and every route, is gone when it was not renewed for so long.
ROUTE_SECONDS = 15
# One look at Redis takes a moment, in which a key may expire.
LOOK_SECONDS = 0.5
# Allocators keep some of what they had; a leak of one transfer's buffers for each transfer would be more.
RESIDENT_SLACK = 24 * 1024 * 1024
# AddressSanitizer keeps what is freed, up to 256 MiB of it, to find who still uses it.
if "ASAN_OPTIONS" in os.environ:
    RESIDENT_SLACK += 256 * 1024 * 1024


def one_success_for_each_token(history: History) -> Iterator[str]:
    """Of all requests that show one token, at most one is let in."""
    successes: dict[str, list[str]] = {}
    for event in history.events("claimed"):
        if event["status"] in (100, 200):
            successes.setdefault(event["token"], []).append(event["who"])
    for token, who in successes.items():
        if len(who) > 1:
            yield f"token {token} was good {len(who)} times: {', '.join(who)}"


def success_means_equal_content(history: History) -> Iterator[str]:
    """Each report of a whole file, and each file on the disk, has exactly the bytes that were sent. Of what is received
    the report says so, or the disk does."""
    sent = {event["file"]: event["sha256"] for event in history.events("began")}
    stored = {(event["file"], event["sha256"]) for event in history.events("stored")}
    for name in ("received", "delivered", "stored"):
        for event in history.events(name):
            file, sha256 = event.get("file"), event.get("sha256")
            if sha256 is None and (name != "received" or (file, sent.get(file)) in stored):
                continue
            if file not in sent:
                yield f"{file} was {name} and never sent"
            elif sha256 != sent[file]:
                yield f"{file} was {name} with other content than was sent"


def what_came_is_how_it_begins(history: History) -> Iterator[str]:
    """Also what arrived of a transfer that failed is the beginning of what was sent."""
    for event in history.events("took"):
        if not event["prefix"]:
            yield f"{event['who']} got bytes of {event['file']} that were not sent so"


def what_clients_say_is_as_promised(history: History) -> Iterator[str]:
    """Each line that a client prints for programs is one of docs/json-events.md."""
    for event in history.events("garbled"):
        yield f"{event['who']}: {event['text']}"


def in_the_middle(history: History, receiver: str) -> list[Event]:
    """What a receiver has begun and said no end of: the last event of each of its transfers."""
    last = {}
    for event in history.events(who=receiver):
        if event["event"] == "leaving":
            break
        if event.get("direction") == "receive":
            last[event.get("transfer")] = event
    return [event for event in last.values() if event["event"] in ("offered", "started", "progress", "verifying")]


def every_transfer_ends(history: History) -> Iterator[str]:
    """No transfer is stuck: senders end before their deadlines, and no receiver leaves in the middle of a transfer."""
    for leaving in history.events("leaving"):
        for event in in_the_middle(history, leaving["who"]):
            yield f"{event.get('file')} never ended: {leaving['who']} left at {event['event']}"
    ended = {event["file"]: event for event in history.events("ended")}
    for began in history.events("began"):
        end = ended.get(began["file"])
        if end is None:
            yield f"{began['file']} never ended"
        elif end["at"] - began["at"] > began["deadline"]:
            yield f"{began['file']} ended after {end['at'] - began['at']:.1f} s, {began['deadline']} s at most"


def both_sides_agree(history: History) -> Iterator[str]:
    """Each "delivered" is one stored file; without it, a file may be stored only if its sender gave up uncertain."""
    received, delivered, stored = (
        _by_file(history, "received"),
        _by_file(history, "delivered"),
        _by_file(history, "stored"),
    )
    for end in history.events("ended"):
        file, status = end["file"], end["status"]
        said, got = len(delivered.get(file, [])), len(received.get(file, []))
        if (status == 0) != (said == 1):
            yield f"{file}: the sender's exit status is {status}, and it said delivered {said} times"
        if said and got != 1:
            yield f"{file} was delivered, and received {got} times"
        if got > 1:
            yield f"{file} was received {got} times"
        if got and not said and status != GAVE_UP:
            yield f"{file} was received, and the sender's exit status is {status}"
        on_disk = [event for event in stored.get(file, []) if event["sha256"] is not None]
        if stored.get(file) and bool(on_disk) != bool(got):
            yield f"{file} was received {got} times, and is {'' if on_disk else 'not '}on the disk"


def no_route_outlives_its_owner(history: History) -> Iterator[str]:
    """What Redis says about a node that is gone is gone, too, 15 s later."""
    lost = {(event["node"], event["incarnation"]): event["at"] for event in history.events("lost")}
    said = set()
    for look in history.events("routes"):
        for key, node, incarnation in look["routes"]:
            gone = lost.get((node, incarnation))
            if gone is None or key in said:
                continue
            if look["at"] - gone > ROUTE_SECONDS + LOOK_SECONDS:
                said.add(key)
                yield f"{key} is there {look['at'] - gone:.1f} s after the end of {node}"


def back_to_the_baseline(history: History) -> Iterator[str]:
    """When everything is over, a node has the descriptors it had before, and about the memory."""
    before = {event["node"]: event for event in history.events("usage", moment="before")}
    for after in history.events("usage", moment="after"):
        first = before.get(after["node"])
        if first is None:
            yield f"{after['node']} was not looked at before"
            continue
        if after["descriptors"] > first["descriptors"]:
            yield f"{after['node']} has {after['descriptors']} descriptors, and had {first['descriptors']}"
        grown = after["resident"] - first["resident"]
        if grown > RESIDENT_SLACK:
            yield f"{after['node']} has grown by {grown >> 20} MiB"


RULES = (
    what_clients_say_is_as_promised,
    one_success_for_each_token,
    success_means_equal_content,
    what_came_is_how_it_begins,
    every_transfer_ends,
    both_sides_agree,
    no_route_outlives_its_owner,
    back_to_the_baseline,
)


def problems(history: History) -> list[str]:
    """What any rule says."""
    return [f"{rule.__name__}: {problem}" for rule in RULES for problem in rule(history)]


def check_history(history: History) -> None:
    """Asserts all rules."""
    found = problems(history)
    assert not found, "\n".join([*found, "", history.tail()])


def _by_file(history: History, name: str) -> dict[str | None, list[Event]]:
    found: dict[str | None, list[Event]] = {}
    for event in history.events(name):
        found.setdefault(event.get("file"), []).append(event)
    return found
