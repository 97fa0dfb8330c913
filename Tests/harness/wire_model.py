# SPDX-License-Identifier: Apache-2.0
"""What a relay may say to whom, and what it has to say: docs/wire-protocol.md, as rules that every message is held to.

The model knows what its own clients did. A message that nothing of it explains is a `Violation`, and so is one that
does not come although something of it demands it. Between two moments of rest, clients do several things without
waiting, in an order that only the relay knows: then each of the orders is right.
"""

from __future__ import annotations

import collections
import copy
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from . import metrics, raw
from .cluster import Cluster
from .protocol import Identity, Session, b64, pack, unb64
from .types import Message, Server
from .waiting import TooLate, until
from .wire_parts import Asked, Attempt, Cause, Half, Live, Request, Ring

#: How many seconds something that has to come may take, and what is waited for may take on a busy machine.
DUE = 20
#: The same where a fault keeps it from coming.
DUE_IN_VAIN = 2
#: Halves are held for 30 s, and have to move within them: before that, no attempt may expire or stall.
HELD = 29
STATES = ("waiting", "ringing", "accepted", "parked", "streaming", "streamed")


class Violation(AssertionError):
    """The relay did what it may not do, or did not do what it has to."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is made of what the relay says, to show that the model finds it; and what it says then."""

    spoil: Callable[[Message], list[Message]]
    found: str
    #: Whether something does not come, which is all that is waited for in vain.
    withholds: bool = False


def _of(kind: str, spoil: Callable[[Message], list[Message]], found: str, *, withholds: bool = False) -> Fault:
    return Fault(lambda message: spoil(message) if message["type"] == kind else [message], found, withholds)


FAULTS = {
    "a ring that comes twice": _of("ring", lambda m: [m, m], "is rung twice"),
    "a ring of somebody else": _of("ring", lambda m: [{**m, "from": "mallory"}], "is rung by mallory"),
    "a ring that does not come": _of("ring", lambda m: [], "a ring for attempt", withholds=True),
    "an end that comes twice": _of("failed", lambda m: [m, m], "hears .* after"),
    "an end that does not come": _of("failed", lambda m: [], "the end of attempt", withholds=True),
    "the wrong one blamed": _of("failed", lambda m: [{**m, "code": "stalled"}], "nobody has done that"),
    "a word that nobody said": _of("delivered", lambda m: [{**m, "payload": "e30"}], "the receiver has not said so"),
    "an answer that nobody asked for": _of("pong", lambda m: [m, m], "an answer to what it has not asked"),
}


class World:
    """A relay, or several nodes, with the people of it, who are the same in every run of the model."""

    def __init__(self, entries: Sequence[Server], metrics_ports: Sequence[int], *, several: bool = False) -> None:
        #: Where clients may connect: any of them is the same relay.
        self.entries, self.metrics_ports, self.several = entries, metrics_ports, several
        self.fault: Fault | None = None
        #: How many seconds something that has to come may take.
        self.due = DUE
        #: What was done, and what came of it, how often.
        self.seen: collections.Counter[str] = collections.Counter()
        #: The first that was found.
        self.violation: Violation | None = None
        self._people: dict[str, Identity] = {}
        # Of each run of this process, and of each process: no two worlds have a name in common.
        self._suffix = b64(os.urandom(6)).lower().replace("_", "x").replace("-", "y")

    @classmethod
    def of_cluster(cls, cluster: Cluster) -> World:
        """Its balancer, and each of its nodes."""
        ports = [
            Cluster.port_of(url.removesuffix("/metrics")) for url in cluster.variables["RELAY_METRICS_URLS"].split()
        ]
        return cls([cluster, *cluster.members()], ports, several=True)

    def with_fault(self, name: str) -> World:
        """The same, with one of the ``FAULTS``; with less patience where something never comes."""
        made = copy.copy(self)
        made.fault = FAULTS[name]
        made.due = DUE_IN_VAIN if made.fault.withholds else DUE
        return made

    def person(self, name: str) -> Identity:
        """One of the people."""
        return self._people.setdefault(name, Identity(f"{name}-{self._suffix}"))

    def figures(self) -> dict[str, float]:
        """The sum of all nodes' gauges."""
        total: dict[str, float] = collections.defaultdict(float)
        for port in self.metrics_ports:
            for name, figure in metrics.scrape(port).items():
                total[name] += figure
        return total


class Model:
    """One run: no session is there when it begins, nor when it ends."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lives: list[Live] = []
        self.attempts: list[Attempt] = []
        self.requests: list[Request] = []
        #: How many things were done since everything had come that had to.
        self._acts = 0
        self.history: list[str] = []
        self._began = time.monotonic()
        self._numbers = itertools.count(1)

    # What happened, in words.

    def log(self, text: str) -> None:
        """Adds to the history, which a violation shows."""
        self.history.append(f"{time.monotonic() - self._began:8.3f}  {text}")

    def violate(self, what: str) -> Violation:
        """What to raise."""
        made = Violation("\n".join([what, *self.history]))
        self.world.violation = self.world.violation or made
        return made

    def demand(self, holds: object, what: str) -> None:
        """Raises a Violation if it does not hold."""
        if not holds:
            raise self.violate(what)

    @property
    def calm(self) -> bool:
        """Whether everything that was asked has been answered, and nothing was done since."""
        return self._acts == 0

    def _act(self) -> None:
        self._acts += 1
        if self._acts > 1:
            # Who was sharing when the relay read it is not known.
            for request in self.requests:
                if not request.granted:
                    request.hearers.clear()

    # Sessions.

    @property
    def present(self) -> list[Live]:
        """The sessions that are there."""
        return [live for live in self.lives if live.open]

    def come(self, name: str, entry: int, *, receiving: bool = False, sharing: bool = False) -> Live:
        """Another session."""
        server = self.world.entries[entry % len(self.world.entries)]
        session = Session(server, self.world.person(name))
        challenge = session.next(lambda m: m.get("type") == "challenge", what="the challenge")
        credentials = session.identity.credentials("register", session.host, challenge["nonce"])
        welcome = session.ask("register", credentials=credentials)
        self.demand(welcome["type"] == "welcome" and welcome["name"] == session.identity.name, f"{welcome}")
        live = Live(session, session.identity.name, welcome["session"].rpartition("-")[0], next(self._numbers))
        self.lives.append(live)
        self._act()
        self.log(f"{live} comes, as {welcome['session']}")
        if receiving or sharing:
            self.present_as(live, receiving=receiving, sharing=sharing)
        return live

    def go(self, live: Live, *, kindly: bool) -> None:
        """A session goes, with a close frame or without a word."""
        self.log(f"{live} {'closes' if kindly else 'is cut'}")
        live.open = live.receiving = live.sharing = False
        for attempt in self.attempts:
            if attempt.sender is live or live in attempt.rings or attempt.to == live.name:
                attempt.causes.append(Cause("gone", live))
        self._act()
        if kindly:
            live.session.close()
        else:
            live.session.abort()

    def ask(
        self,
        live: Live,
        verb: str,
        allowed: Iterable[str],
        about: Any = None,
        *,
        sure: Iterable[str] | None = None,
        silent: bool = False,
        **fields: Any,
    ) -> str:
        """Says something and does not wait for the answer; returns the id."""
        id = next(live.session.ids)
        wide = frozenset(allowed)
        live.asked[id] = Asked(verb, wide, wide if sure is None else frozenset(sure), about, silent, fields)
        if verb == "offer":
            live.offers[id] = about
        said = {key: value for key, value in fields.items() if key != "payload"}
        if verb != "ping":
            self.log(f"{live} -> {id} {verb} {said}")
            self._act()
        live.session.send(**{"type": verb, "id": id, **fields})
        return id

    def present_as(self, live: Live, *, receiving: bool, sharing: bool) -> None:
        """Says what it wants to hear."""
        for attempt in self.attempts:
            if not receiving and attempt.to == live.name:
                attempt.causes.append(Cause("stopped", live))
        live.has_received |= receiving
        live.has_shared |= sharing
        self.ask(live, "presence", ["ok"], receiving=receiving, sharing=sharing)

    # Offers and what becomes of them.

    def receivers(self, attempt: Attempt) -> list[Live]:
        """Those that an open offer has to ring."""
        if attempt.request is not None:
            return [attempt.request.live] if attempt.request.live.open else []
        return [live for live in self.present if live.name == attempt.to and live.receiving and live != attempt.sender]

    def offer(self, live: Live, to: str, *, waits: bool, request: Request | None = None, id: str | None = None) -> None:
        """Offers something, maybe as the answer to a request, maybe under an id of before."""
        serial = next(self._numbers)
        attempt = Attempt(serial, id or b64(os.urandom(16)), live, to, waits, pack(v=0, serial=serial), request)
        if all(self.world.person(name).name != to for name in ("a", "b", "c")):
            allowed = sure = {"unknown_peer"}
        elif request is not None:
            good = request.to == live.name and request.live.name == to
            sure = {"ringing"} if good and request.open else {"unknown_request"}
            allowed = {"ringing", "unknown_request"} if good else sure
        else:
            absent = "waiting" if waits else "peer_offline"
            sure, allowed = {"ringing" if self.receivers(attempt) else absent}, {"ringing", absent}
        if self.world.several or not self.calm:
            sure = allowed
        # Who went, or stopped receiving, right before it may have been rung all the same; in a cluster also longer ago.
        attempt.rushed = not self.calm or (self.world.several and not self.receivers(attempt))
        self.attempts.append(attempt)
        more = {"request": request.id} if request else {}
        fields: Message = {"to": to, "transfer": attempt.id, "payload": attempt.payload, "wait": waits, **more}
        self.ask(live, "offer", allowed, attempt, sure=sure, **fields)

    def again(self, attempt: Attempt) -> None:
        """Offers under the id of an attempt that runs."""
        fields: Message = {"to": attempt.to, "transfer": attempt.id, "payload": pack(v=0, serial=0), "wait": True}
        self.ask(attempt.sender, "offer-again", ["transfer_exists"], **{**fields, "type": "offer"})

    def accept(self, ring: Ring) -> None:
        """Takes it."""
        sure = ["start"] if self.calm and self._is_sure(ring) else None
        ring.said = "accept"
        ring.attempt.causes.append(Cause("accept", ring.live))
        payload = pack(serial=ring.attempt.serial)
        allowed = ["start", "unknown_transfer"]
        self.ask(ring.live, "accept", allowed, ring, sure=sure, transfer=ring.attempt.id, payload=payload)

    def decline(self, ring: Ring, code: str, verb: str = "decline") -> None:
        """Does not take it, or not any more."""
        ring.said = ring.said or verb
        ring.attempt.causes.append(Cause("cancel" if ring.token else verb, ring.live, code))
        sure = ["ok"] if self.calm and self._is_sure(ring) else None
        self.ask(ring.live, verb, ["ok", "unknown_transfer"], ring, sure=sure, transfer=ring.attempt.id, code=code)

    def cancel(self, attempt: Attempt, code: str) -> None:
        """The sender takes it back."""
        attempt.causes.append(Cause("cancel", attempt.sender, code))
        is_open = attempt.ended is None and not (attempt.receiver and attempt.receiver.ended)
        sure = ["ok"] if self.calm and is_open and self.settled(attempt) else None
        self.ask(
            attempt.sender, "cancel", ["ok", "unknown_transfer"], attempt, sure=sure, transfer=attempt.id, code=code
        )

    def deliver(self, ring: Ring) -> None:
        """The receiver says that it has everything."""
        word = pack(serial=ring.attempt.serial, word=1)
        ring.attempt.causes.append(Cause("delivered", ring.live))
        ring.attempt.word = word
        sure = ["ok"] if self.calm and ring.ended is None and self.settled(ring.attempt) else None
        self.ask(
            ring.live, "delivered", ["ok", "unknown_transfer"], ring, sure=sure, transfer=ring.attempt.id, payload=word
        )

    def note(self, attempt: Attempt, way: str) -> None:
        """One side says something to the other, which answers nothing."""
        assert attempt.receiver
        live = attempt.sender if way == "down" else attempt.receiver.live
        payload = pack(serial=attempt.serial, way=way, number=len(attempt.notes[way]))
        attempt.notes[way].append(payload)
        self.ask(live, "note", ["unknown_transfer"], attempt, silent=True, transfer=attempt.id, payload=payload)

    def progress(self, ring: Ring, count: int) -> None:
        """The receiver says how far it is."""
        ring.attempt.progress.add(count)
        self.ask(ring.live, "progress", [], silent=True, transfer=ring.attempt.id, bytes=count)

    def forge(self, live: Live, verb: str, id: str) -> None:
        """Says something about a transfer that is not its own."""
        fields: Message = {"transfer": id}
        fields |= {"code": "declined"} if verb in ("decline", "cancel") else {"payload": pack(v=1, forged=True)}
        self.ask(live, verb, ["unknown_transfer"], silent=verb == "note", **fields)

    def _is_sure(self, ring: Ring) -> bool:
        """Whether nothing has been done that could have ended it."""
        attempt = ring.attempt
        is_open = ring.ended is None and not self._is_over(attempt) and attempt.receiver in (None, ring)
        return is_open and self.settled(attempt)

    @staticmethod
    def settled(attempt: Attempt) -> bool:
        """Whether nothing ends it by itself, at a moment of its own: a cut is waited upon for half a second, and may
        have come behind the last byte; and what does not come is waited for only so long."""
        halves = [half for half in (attempt.download, attempt.upload) if half]
        return not any(half.cut for half in halves) and time.monotonic() - attempt.began < HELD

    # Requests.

    def request(self, live: Live, to: str, id: str | None = None) -> None:
        """Asks the sharing sessions of a name for something."""
        serial = next(self._numbers)
        made = Request(id or b64(os.urandom(16)), live, to, pack(v=0, request=serial))
        if id is not None:
            self.ask(live, "request", ["request_exists"], request=id, to=to, payload=made.payload)
            return
        if self.calm and not self.world.several:
            made.hearers = {each for each in self.present if each.name == to and each.sharing and each is not live}
        self.requests.append(made)
        self.ask(live, "request", ["ok"], made, request=made.id, to=to, payload=made.payload)

    def withdraw(self, live: Live, request: Request) -> None:
        """Has had enough; or says so of a request that is not its own."""
        if request.live is live:
            request.withdrawn = True
        self.ask(live, "withdraw", ["ok"], request=request.id)

    def refuse(self, live: Live, request: Request, to: str, code: str) -> None:
        """Says that there will be no offer."""
        if live.name == request.to and to == request.live.name:
            request.refusals.append(code)
            if self.calm and request.open and not self.world.several:
                request.due += 1
        self.ask(live, "refuse", ["ok"], request=request.id, to=to, code=code)

    # Streams.

    def attach(self, ring: Ring, entry: int, times: int) -> None:
        """Shows the download's token: on several connections at once, maybe."""
        assert ring.token
        self.log(f"{ring.live} shows the download's token of {ring.attempt} {times} times")
        ring.attempt.download = self._half(entry, ring.attempt, "download", ring.token, times)
        self._act()

    def upload(self, attempt: Attempt, entry: int, times: int, size: int, part: int) -> None:
        """Shows the upload's token, and sends a part of the body."""
        assert attempt.token
        self.log(f"{attempt.sender} shows the upload's token of {attempt} {times} times, with {part} of {size} bytes")
        body = (attempt.payload.encode() * (size // len(attempt.payload) + 1))[:size]
        attempt.upload = self._half(entry, attempt, "upload", attempt.token, times, body)
        attempt.upload.push(part)
        self._act()

    def _half(self, entry: int, attempt: Attempt, role: str, token: str, times: int, body: bytes = b"") -> Half:
        return Half(self.world.entries[entry % len(self.world.entries)], attempt, role, token, times, body)

    def finish(self, half: Half) -> None:
        """Sends the rest."""
        self.log(f"the upload of {half.attempt} goes on to its end")
        half.push(len(half.body))
        self._act()

    def cut(self, half: Half, *, reset: bool) -> None:
        """Cuts one half. If the relay may not have seen it, its client says that it is gone, as section 1.8 wants."""
        attempt, ring = half.attempt, half.attempt.receiver
        assert ring
        self.log(f"the {half.role} of {attempt} is cut")
        who = attempt.sender if half.role == "upload" else ring.live
        attempt.causes.append(Cause("cut", who, half.role))
        half.close(reset=reset)
        self._act()
        if half.taken:
            return
        if half.role == "upload":
            self.cancel(attempt, "sender_gone")
        elif ring.ended is None:
            self.decline(ring, "receiver_gone", "cancel")

    def show(self, entry: int, method: str, path: str, token: str, allowed: Sequence[int]) -> None:
        """Shows a token that must not be let in, and waits for the refusal."""
        server = self.world.entries[entry % len(self.world.entries)]
        self.log(f"{method} {path} with a token that is no good there")
        with raw.Connection(server.address, server.ca) as connection:
            fields = ["Content-Length: 0"] if method in ("PUT", "POST") else []
            connection.send(raw.request(method, path, f"Authorization: Bearer {token}", *fields))
            answer = connection.answer(DUE, method)
        self.demand(answer and answer.status in allowed, f"{method} {path} was answered by {answer}")

    # What comes.

    def drain(self) -> None:
        """Holds everything that has come to the rules."""
        for live in self.lives:
            ended = live.session.closed
            for message in self._taken(live):
                shown = {key: value for key, value in message.items() if key not in ("payload", "token", "key")}
                if message["type"] != "pong":
                    self.log(f"{live} <- {shown}")
                    self._count(message)
                self._heard(live, message)
            self.demand(not (live.open and ended is not None), f"{live} was closed with {ended}")
        for half in self._halves():
            half.look()

    def _count(self, message: Message) -> None:
        words = [message[key] for key in ("type", "code", "state", "role", "by") if key in message]
        self.world.seen[" ".join(words)] += 1

    def _taken(self, live: Live) -> list[Message]:
        fault, taken = self.world.fault, live.session.take()
        return [each for message in taken for each in fault.spoil(message)] if fault else taken

    def _halves(self) -> Iterator[Half]:
        for attempt in self.attempts:
            yield from (half for half in (attempt.download, attempt.upload) if half)

    def _heard(self, live: Live, message: Message) -> None:
        kind, id = message["type"], message["id"]
        asked = live.asked.get(id)
        if asked and (kind != "note" or asked.verb != "offer"):
            del live.asked[id]
            outcome = str(message["code"] if kind == "error" else message.get("state", kind))
            allowed = asked.sure if self._acts == 1 else asked.allowed
            self.demand(
                outcome in allowed, f"{live} hears {outcome} to its {asked.verb}, and not one of {set(allowed)}"
            )
            self._answers[asked.verb](self, live, asked, message, outcome)
            return
        attempt = live.offers.get(id)
        if attempt is not None:
            self.demand(message.get("transfer") == attempt.id, f"{live} hears of another transfer under {id}")
            self.demand(kind in self._about_offers, f"{live} hears {kind} about its offer")
            self._about_offers[kind](self, attempt, message)
            return
        self.demand(id.startswith("r"), f"{live} hears an answer to what it has not asked: {message}")
        self.demand(kind in self._unasked, f"{live} hears {kind} without having asked")
        self._unasked[kind](self, live, message)

    def _answered_plainly(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        if asked.verb == "presence":
            live.receiving, live.sharing = asked.fields["receiving"], asked.fields["sharing"]
            if not live.open:
                live.receiving = live.sharing = False

    def _answered_lookup(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        if outcome == "peer":
            person = next(each for each in ("a", "b", "c") if self.world.person(each).name == message["name"])
            self.demand(message["key"] == self.world.person(person).key, "a lookup brings another's key")
            online = asked.about if self._acts == 1 else None
            self.demand(online is None or message["online"] == online, f"online is {message['online']}, not {online}")

    def _answered_offer(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        attempt = asked.about
        assert isinstance(attempt, Attempt)
        if message["type"] == "error":
            attempt.ended = "refused"
            self.demand(not attempt.rings, f"{attempt} was refused, and has rung")
        else:
            self.demand(message["transfer"] == attempt.id, "another transfer is offered")
            attempt.states.append(outcome)

    def _answered_accept(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        ring = asked.about
        if not isinstance(ring, Ring):
            # It was forged.
            return
        attempt = ring.attempt
        if outcome == "unknown_transfer":
            excused = ring.ended is not None or attempt.has("accept", "cancel", "gone", "decline", besides=live)
            self.demand(excused, f"{live} may not accept {attempt}, and nobody has done anything")
            ring.ended = ring.ended or "too late"
            return
        self.demand(attempt.receiver is None, f"{attempt} has two receivers: {live} and {attempt.receiver}")
        self.demand(ring.ended is None, f"{live} gets a token for what has ended")
        attempt.receiver, ring.token = ring, self._token(message, "download")

    def _token(self, message: Message, role: str) -> str:
        self.demand(message["role"] == role, f"a token for the {message['role']}")
        self.demand(len(unb64(message["token"])) == 32, "a token that is none")
        others = [each.token for each in self.attempts] + [r.token for a in self.attempts for r in a.rings.values()]
        self.demand(message["token"] not in others, "the same token again")
        return message["token"]

    def _answered_ending(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        about = asked.about
        if isinstance(about, Ring):
            self._ring_answered(about, asked, outcome)
        elif isinstance(about, Attempt):
            if outcome == "unknown_transfer":
                excused = about.ended is not None or about.has(
                    "accept", "decline", "cut", "gone", "delivered", "cancel"
                )
                self.demand(excused, f"{live} may not cancel {about}, and nobody has done anything")
                return
            self.demand(about.ended is None, f"{about} has ended with {about.ended} already, and may be cancelled")
            about.ended = "cancelled"

    def _ring_answered(self, ring: Ring, asked: Asked, outcome: str) -> None:
        if outcome == "unknown_transfer":
            excused = ring.ended is not None or ring.attempt.has("accept", "cancel", "gone", "cut", besides=ring.live)
            own = asked.verb != "decline" and ring.attempt.has("cut", "cancel", "decline", "delivered")
            self.demand(excused or own, f"{ring.live} may not {asked.verb} {ring.attempt}, and nobody did anything")
            return
        self.demand(ring.ended is None, f"{ring.live} has heard {ring.ended} about {ring.attempt}, and now {outcome}")
        ring.ended = {"decline": "declined", "cancel": "cancelled", "delivered": "delivered"}[asked.verb]

    def _answered_note(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        if isinstance(asked.about, Attempt):
            self.demand(self._may_be_over(asked.about), f"{live} may say nothing about {asked.about}")

    def _answered_request(self, live: Live, asked: Asked, message: Message, outcome: str) -> None:
        if isinstance(asked.about, Request):
            asked.about.granted = True
            self.demand(set(message) == {"id", "type"}, f"a request is answered by {message}")

    def _state(self, attempt: Attempt, message: Message) -> None:
        state, before = message["state"], attempt.states[-1]
        self.demand(attempt.ended is None, f"{attempt} has ended with {attempt.ended} and is {state}")
        good = {"waiting": ("ringing",), "ringing": ("waiting", "accepted"), "accepted": ()}[before]
        self.demand(state in good, f"{attempt} is {state} after {before}")
        if state == "accepted":
            self.demand(attempt.has("accept"), f"{attempt} is accepted, and nobody has")
        attempt.states.append(state)

    def _started(self, attempt: Attempt, message: Message) -> None:
        self.demand(attempt.ended is None and attempt.token is None, f"{attempt} starts, and has {attempt.ended}")
        self.demand(attempt.states[-1] == "accepted", f"{attempt} starts when it is {attempt.states[-1]}")
        self.demand(attempt.download, f"{attempt} starts without a download")
        attempt.token = self._token(message, "upload")
        self.demand(message["payload"] == pack(serial=attempt.serial), "the receiver's payload is another")

    def _progressed(self, attempt: Attempt, message: Message) -> None:
        self.demand(message["bytes"] in attempt.progress, f"{attempt} has a progress that nobody reported")
        self.demand(attempt.ended is None, f"{attempt} has ended, and goes on")

    def _noted_sender(self, attempt: Attempt, message: Message) -> None:
        self._noted(attempt, "up", message)
        self.demand(attempt.ended is None, f"{attempt} has ended, and its sender hears a note")

    def _noted(self, attempt: Attempt, way: str, message: Message) -> None:
        at = attempt.heard[way]
        self.demand(
            attempt.notes[way][at : at + 1] == [message["payload"]], f"{attempt} has another note than the next"
        )
        attempt.heard[way] += 1

    def _delivered(self, attempt: Attempt, message: Message) -> None:
        self.demand(attempt.ended is None, f"{attempt} has ended with {attempt.ended} and is delivered")
        self.demand(attempt.word == message["payload"], f"{attempt} is delivered, and the receiver has not said so")
        attempt.ended = "delivered"

    def _rung(self, live: Live, message: Message) -> None:
        attempt = next((each for each in self.attempts if each.payload == message["payload"]), None)
        if attempt is None:
            raise self.violate(f"{live} is rung with what nobody has offered")
        sender = attempt.sender
        self.demand(attempt.id == message["transfer"], "the ring is of another transfer")
        self.demand(message["from"] == sender.name, f"{live} is rung by {message['from']}, not {sender.name}")
        self.demand(message["key"] == sender.session.identity.key, "the ring has another's key")
        self.demand(live.name == attempt.to and live is not sender, f"{live} is rung for {attempt.to}")
        self.demand(live not in attempt.rings, f"{live} is rung twice for {attempt}")
        if attempt.request is None:
            self.demand(live.has_received, f"{live} is rung, and never wanted to be")
            self.demand("request" not in message, "a ring for no request names one")
        else:
            self.demand(live is attempt.request.live, f"{live} is rung for the request of {attempt.request.live}")
            self.demand(message.get("request") == attempt.request.id, "the ring is of another request")
        self.demand(attempt.ended != "refused", f"{live} is rung for what was refused")
        ring = Ring(live, attempt)
        attempt.rings[live] = live.rings[attempt.id] = ring

    def _failed_sender(self, attempt: Attempt, message: Message) -> None:
        self._ended(attempt, attempt.sender, message)

    def _failed_receiver(self, live: Live, message: Message) -> None:
        ring = live.rings.get(message["transfer"])
        if ring is None:
            raise self.violate(f"{live} hears of a transfer that it has nothing to do with")
        self._ended(ring, live, message)

    def _ended(self, about: Attempt | Ring, live: Live, message: Message) -> None:
        self.demand(about.ended is None, f"{live} hears {message['code']} after {about.ended}")
        self.demand(
            self._is_justified(about, live, message["code"], message["by"]),
            f"{live} hears {message['code']} by {message['by']}, and nobody has done that",
        )
        about.ended, about.by = message["code"], message["by"]

    def _is_justified(self, about: Attempt | Ring, live: Live, code: str, by: str) -> bool:
        attempt = about if isinstance(about, Attempt) else about.attempt
        sides = [attempt.sender] if isinstance(about, Ring) else list(attempt.rings)
        if by == "peer":
            kinds = ("cancel",) if isinstance(about, Ring) else ("cancel", "decline")
            return any(each.what in kinds and each.code == code and each.who in sides for each in attempt.causes)
        if code == "accepted_elsewhere":
            return isinstance(about, Ring) and attempt.has("accept", besides=live)
        if code in ("sender_gone", "receiver_gone"):
            half = "upload" if code == "sender_gone" else "download"
            accepted = [ring.live for ring in attempt.rings.values() if ring.said == "accept"]
            lost = [attempt.sender] if code == "sender_gone" else accepted
            left = any(each.what == "gone" and each.who in lost for each in attempt.causes)
            return left or attempt.has("cut", code=half) or attempt.has("cancel", "decline", code=code)
        if code in ("expired", "stalled"):
            return time.monotonic() - attempt.began > HELD
        alone = isinstance(about, Attempt) and attempt.receiver is None and self._may_be_alone(attempt, live)
        return alone and code == ("unknown_request" if attempt.request else "peer_offline")

    @staticmethod
    def _may_be_alone(attempt: Attempt, live: Live) -> bool:
        """Whether all that were rung may be gone, or may have been none that receives any more."""
        is_heard = any(ring.live.open for ring in attempt.rings.values())
        return attempt.has("gone", "stopped", besides=live) or (attempt.rushed and not is_heard)

    def _noted_receiver(self, live: Live, message: Message) -> None:
        ring = live.rings.get(message["transfer"])
        self.demand(ring and ring.token, f"{live} hears a note about what it has not accepted")
        assert ring
        self._noted(ring.attempt, "down", message)
        # What it has called delivered is over once its sender has heard so.
        self.demand(ring.ended in (None, "delivered"), f"{live} hears a note about what has ended")

    def _requested(self, live: Live, message: Message) -> None:
        request = next((each for each in self.requests if each.payload == message["payload"]), None)
        if request is None:
            raise self.violate(f"{live} hears a request that nobody made")
        self.demand(request.id == message["request"] and request.live.name == message["from"], "another's request")
        self.demand(message["key"] == request.live.session.identity.key, "the request has another's key")
        self.demand(live.name == request.to and live is not request.live, f"{live} hears a request to {request.to}")
        self.demand(live.has_shared, f"{live} hears a request, and never shared")
        self.demand(live not in request.heard, f"{live} hears a request twice")
        request.heard.add(live)

    def _refused(self, live: Live, message: Message) -> None:
        request = next((each for each in self.requests if each.id == message["request"]), None)
        self.demand(request and request.live is live, f"{live} hears that what it has not asked for is refused")
        assert request
        request.refused.append(message["code"])
        left = collections.Counter(request.refused) - collections.Counter(request.refusals)
        self.demand(not left, f"{live} hears that its request is refused, with {message['code']}: nobody said so")

    # What has to come.

    def _is_over(self, attempt: Attempt) -> bool:
        """Whether something has happened that ends it for all."""
        if attempt.ended or not attempt.sender.open:
            return True
        ring = attempt.receiver
        if ring is None:
            answered = [each for each in attempt.rings.values() if each.ended in ("declined", "cancelled")]
            return bool(answered) and all(each in answered or not each.live.open for each in attempt.rings.values())
        # What was cut after the last byte had been sent may have been over already.
        is_cut = any(half and half.cut and half.taken for half in (attempt.download, attempt.upload))
        is_sent = attempt.upload is not None and attempt.upload.whole
        if ring.live.open and ring.ended == "delivered" and attempt.download and not is_cut:
            # The relay lets an upload that has begun, or may begin, come to its end first: for 30 s.
            return is_sent
        return bool(ring.ended) or not ring.live.open or (is_cut and not is_sent)

    def _may_be_over(self, attempt: Attempt) -> bool:
        return self._is_over(attempt) or attempt.has("gone", "cancel", "cut", "delivered") or bool(attempt.ended)

    def owed(self) -> Iterator[str]:
        """What has not come yet, and has to."""
        for live in self.present:
            for asked in live.asked.values():
                if not asked.may_be_silent:
                    yield f"the answer to {asked.verb} of {live}"
        for attempt in self.attempts:
            if attempt.ended != "refused":
                yield from self._owed_of(attempt)
        for request in self.requests:
            for live in request.hearers - request.heard:
                if request.granted and live.open:
                    yield f"the request of {request.live} at {live}"
            if request.open and len(request.refused) < request.due:
                yield f"a refusal at {request.live}"

    def _owed_of(self, attempt: Attempt) -> Iterator[str]:
        over = self._is_over(attempt)
        if over and attempt.sender.open and attempt.ended is None:
            yield f"the end of {attempt} at its sender"
        taken = attempt.receiver
        for ring in attempt.rings.values():
            if ring.live.open and ring.ended is None and (over or (taken and taken is not ring)):
                yield f"the end of {attempt} at {ring.live}"
        if not over and attempt.sender.open:
            yield from self._owed_while(attempt)
        if over:
            for half in (attempt.download, attempt.upload):
                if half and not half.cut and any(not each.ended for each in half.shown):
                    yield f"the end of the {half.role}'s connection of {attempt}"

    def _owed_while(self, attempt: Attempt) -> Iterator[str]:
        """Of an attempt that goes on."""
        if attempt.receiver is None:
            for live in self.receivers(attempt):
                if live not in attempt.rings:
                    yield f"a ring for {attempt} at {live}"
            if attempt.rings and not any(ring.live.open for ring in attempt.rings.values()):
                goes_on = attempt.waits and attempt.request is None
                if not goes_on:
                    yield f"that nobody is there any more, at the sender of {attempt}"
                elif attempt.states[-1:] == ["ringing"]:
                    yield f"that {attempt} waits again"
            return
        if attempt.states[-1] != "accepted":
            yield f"that {attempt} was accepted"
        for way, said in attempt.notes.items():
            if attempt.heard[way] < len(said):
                yield f"note {attempt.heard[way]} of {attempt}, {way}"
        for half in (attempt.download, attempt.upload):
            if half and not half.cut and len(half.shown) - len(half.let_in) < len(half.shown) - 1:
                yield f"that a token of {attempt} is good once"
        if attempt.download and attempt.token is None and not attempt.download.cut:
            yield f"the start of {attempt}"
        upload, download = attempt.upload, attempt.download
        if upload and download and not upload.cut and not download.cut and upload.whole:
            if any(not each.ended for each in upload.shown):
                yield f"the answer to the upload of {attempt}"
            if len(download.let_in) == 1 and len(download.received) < len(upload.body):
                yield f"bytes of {attempt}"

    # Moments of rest.

    def rest(self) -> None:
        """Waits until everything that has to come has come, and makes sure that nothing else does."""
        for _ in range(2):
            self._wait()
            # What the relay has said before it answers this is here when the answer is.
            for live in self.present:
                self.ask(live, "ping", ["pong"])
            self._wait()
        for live in self.present:
            # What need not be answered may be answered later: by another node, behind what this one has said.
            live.asked = {id: asked for id, asked in live.asked.items() if asked.may_be_silent}
        for attempt in self.attempts:
            self._check(attempt)
        states_are_known = self._compare_figures()
        for half in self._halves():
            half.taken = half.taken or self._is_taken(half, states_are_known)
        self._acts = 0

    @staticmethod
    def _is_taken(half: Half, states_are_known: bool) -> bool:
        """Whether it is shown that the relay has seen it: that nothing else is due shows nothing of a connection."""
        attempt = half.attempt
        if half.cut:
            return False
        if half.role == "download":
            return attempt.token is not None
        answered = any(half.status(each) is not None for each in half.let_in)
        came = attempt.download is not None and len(attempt.download.let_in) == 1 and attempt.download.received
        streams = states_are_known and attempt.receiver is not None and attempt.receiver.ended is None
        return bool(answered or came or streams)

    def _wait(self) -> None:
        def has_come() -> bool:
            self.drain()
            return not list(self.owed())

        try:
            until(has_come, self.world.due, "everything that is due", step=0.002)
        except TooLate:
            due = "; ".join(self.owed())
            raise self.violate(f"this has not come within {self.world.due} s: {due}") from None

    def _check(self, attempt: Attempt) -> None:
        """What has to hold of an attempt when nothing is on its way."""
        ring = attempt.receiver
        if attempt.by == "peer" and ring is None:
            for each in attempt.rings.values():
                answered = each.said in ("decline", "cancel") or not each.live.open
                self.demand(answered, f"{attempt} was declined for all, and {each.live} has not answered")
        if ring and attempt.sender.open and ring.live.open and attempt.ended and ring.ended:
            pair = (attempt.ended, ring.ended)
            self.demand((pair[0] == "delivered") == (pair[1] == "delivered"), f"{attempt}: {pair}")
            if (
                attempt.by == ring.by == "relay"
                and len({(c.what, c.who) for c in attempt.causes if c.what != "accept"}) < 2
            ):
                self.demand(pair[0] == pair[1], f"{attempt}: {pair}, though only one thing happened")
        for half in (attempt.download, attempt.upload):
            if half and not half.cut:
                self._check_half(attempt, half)

    def _check_half(self, attempt: Attempt, half: Half) -> None:
        let_in = half.let_in
        self.demand(len(let_in) <= 1, f"the {half.role}'s token of {attempt} is good for {len(let_in)} connections")
        if not let_in:
            self.demand(
                self._may_be_over(attempt), f"no connection with the {half.role}'s token of {attempt} is let in"
            )
            return
        if half.role == "download" and attempt.upload:
            body = attempt.upload.body
            self.demand(body.startswith(half.received), f"{attempt} brings other bytes")
            self.demand(len(half.received) <= attempt.upload.sent, f"{attempt} brings bytes that were not sent")
        if half.role == "upload" and (status := half.status(let_in[0])) is not None:
            answer = let_in[0].buffer.partition(b"\r\n\r\n")[2].decode()
            if status == 200:
                self.demand(half.whole or attempt.word, f"{attempt} has an answer before its end: {answer}")
                self.demand(
                    attempt.ended in (None, "delivered", "cancelled") or attempt.has("gone", "cut", "cancel"),
                    f"{attempt} has 200 and {attempt.ended}",
                )
            elif attempt.by == "relay" and attempt.ended:
                self.demand(f'"{attempt.ended}"' in answer, f"{attempt}: {attempt.ended}, and the upload {answer}")

    @staticmethod
    def _state_of(attempt: Attempt) -> str:
        """What the relay calls it, when nothing is on its way."""
        if attempt.receiver is None:
            return attempt.states[-1]
        if attempt.download is None:
            return "accepted"
        if attempt.receiver.ended:
            return "streaming"
        if attempt.upload is None:
            return "parked"
        return "streamed" if attempt.upload.whole else "streaming"

    def _compare_figures(self) -> bool:
        """What operators see is what is there; returns whether the states of transfers were compared as well."""
        there = self.present
        expected: dict[str, float] = {
            "relay_sessions": len(there),
            "relay_receivers": sum(live.receiving for live in there),
            "relay_sharers": sum(live.sharing for live in there),
            "relay_requests": sum(request.open for request in self.requests),
        }
        if self.world.several:
            # Each node that has a part in a request counts it.
            expected.pop("relay_requests")
        running = [each for each in self.attempts if not self._is_over(each)]
        are_known = not any(half and half.cut for each in running for half in (each.download, each.upload))
        if are_known:
            states = collections.Counter(self._state_of(each) for each in running)
            expected |= {f'relay_transfers{{state="{state}"}}': states[state] for state in STATES}
        seen: dict[str, float] = {}

        def same() -> bool:
            self.drain()
            figures = self.world.figures()
            seen.update({name: figures[name] for name in expected})
            seen["transfers"] = sum(figures[f'relay_transfers{{state="{state}"}}'] for state in STATES)
            seen["streams"] = figures["relay_streams"]
            seen["connections"] = figures["relay_connections"]
            seen["tokens"] = figures["relay_unclaimed_tokens"]
            if not there and any(seen[name] for name in ("streams", "connections", "tokens")):
                return False
            return seen["transfers"] == len(running) and all(seen[name] == figure for name, figure in expected.items())

        try:
            until(same, self.world.due, "figures", step=0.01)
        except TooLate:
            raise self.violate(f"metrics say {seen}; there are {expected}, and {len(running)} transfers") from None
        return are_known

    def end(self) -> None:
        """All sessions go, and nothing is left."""
        for half in self._halves():
            if not half.cut:
                half.close(reset=False)
        for live in self.present:
            self.go(live, kindly=True)
        self._compare_figures()

    def abandon(self) -> None:
        """The same after a violation: as far as it goes."""
        for half in self._halves():
            if not half.cut:
                half.close(reset=False)
        for live in self.present:
            live.open = False
            live.session.abort()

    _answers: ClassVar[dict[str, Callable[[Model, Live, Asked, Message, str], None]]] = {
        **dict.fromkeys(("presence", "ping", "withdraw", "refuse", "progress"), _answered_plainly),
        **dict.fromkeys(("login", "register", "nonsense", "offer-again"), _answered_plainly),
        **dict.fromkeys(("decline", "cancel", "delivered"), _answered_ending),
        "lookup": _answered_lookup,
        "offer": _answered_offer,
        "accept": _answered_accept,
        "note": _answered_note,
        "request": _answered_request,
    }
    _about_offers: ClassVar[dict[str, Callable[[Model, Attempt, Message], None]]] = {
        "offered": _state,
        "start": _started,
        "progress": _progressed,
        "note": _noted_sender,
        "delivered": _delivered,
        "failed": _failed_sender,
    }
    _unasked: ClassVar[dict[str, Callable[[Model, Live, Message], None]]] = {
        "ring": _rung,
        "failed": _failed_receiver,
        "note": _noted_receiver,
        "requested": _requested,
        "refused": _refused,
    }
