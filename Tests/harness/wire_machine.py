# SPDX-License-Identifier: Apache-2.0
"""Random clients that are held to a model of the wire: hypothesis chooses what they do, and in which order.

Every step draws the same few numbers, whatever is there: they choose among what there is at that moment, and a step for
which there is nothing is none. So a run is repeated by its seed, or by what hypothesis prints for it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import hypothesis
import hypothesis.configuration
import hypothesis.errors
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from .executables import REPOSITORY
from .protocol import Identity, Session, b64
from .wire_model import Model, World
from .wire_parts import Attempt, Live, Request, Ring

# What it keeps from one run to the next belongs to no working directory.
hypothesis.configuration.set_hypothesis_home_dir(REPOSITORY / ".build/hypothesis")

T = TypeVar("T")
NAMES = ("a", "b", "c")
#: Of one name.
MOST_SESSIONS = 3
STEPS = 50
FORGED = ("accept", "decline", "cancel", "delivered", "note")
CODES = ("declined", "cancelled", "no_space", "cannot_write", "too_large")


@dataclasses.dataclass(frozen=True)
class Draw:
    """The numbers of a step."""

    which: int
    what: int
    who: str
    yes: bool
    also: bool
    times: int
    size: int
    #: Whether everything may come before the next step: without that, several things happen at once.
    rest: bool


pick = strategies.integers(0, 11)
flag = strategies.booleans()
draws = strategies.builds(
    Draw,
    which=pick,
    what=pick,
    who=strategies.sampled_from(NAMES),
    yes=flag,
    also=flag,
    times=strategies.sampled_from((1, 1, 1, 2, 3)),
    size=strategies.integers(1, 200_000),
    rest=strategies.sampled_from((True, True, False)),
)


def one(of: Sequence[T], number: int) -> T | None:
    """One of them; None if there is none."""
    return of[number % len(of)] if of else None


#: How often each kind of step is drawn.
WEIGHTS = {
    **dict.fromkeys(("offer", "accept", "attach", "upload"), 4),
    **dict.fromkeys(("come", "cut", "deliver", "request", "answer", "show", "advance"), 3),
    **dict.fromkeys(("go", "present", "decline", "cancel", "finish", "forge", "note", "offer again"), 2),
    **dict.fromkeys(
        ("log in badly", "offer to an unknown name", "progress", "talk nonsense", "lookup", "withdraw", "refuse"), 1
    ),
}


class Clients(RuleBasedStateMachine):
    """The steps that clients may take."""

    world: ClassVar[World]
    #: How many runs have come to their end.
    done: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(self.world)
        self._is_broken = False

    def _step(self, step: Callable[[], object], rest: bool) -> None:
        try:
            step()
            if rest:
                self.model.rest()
        except BaseException:
            self._is_broken = True
            raise

    # What there is.

    def _live(self, number: int) -> Live | None:
        return one(self.model.present, number)

    def _rings(self, *, token: bool) -> list[Ring]:
        return [
            ring
            for attempt in self.model.attempts
            for ring in attempt.rings.values()
            if ring.live.open and ring.ended is None and (ring.token is not None) == token
        ]

    def _running(self) -> list[Attempt]:
        """The sender may still do something about them."""
        return [each for each in self.model.attempts if each.sender.open and each.states and each.ended is None]

    def _flowing(self) -> list[Attempt]:
        """Their bytes may move: also when the receiver has said too early that it has them all."""
        return [each for each in self._running() if each.receiver and each.receiver.live.open]

    def _accepted(self) -> list[Attempt]:
        """Both sides may do something about them."""
        return [
            each for each in self._running() if each.receiver and each.receiver.live.open and not each.receiver.ended
        ]

    # Coming and going.

    @initialize(draw=draws)
    def begin(self, draw: Draw) -> None:
        """A session of each name, two of one, and an offer."""

        def step() -> None:
            alice = self.model.come("a", draw.which, sharing=draw.yes)
            bob = self.model.come("b", draw.what, receiving=True)
            self.model.come("b", draw.which // 3, receiving=draw.also)
            self.model.come("c", draw.what // 3, receiving=draw.yes, sharing=draw.also)
            self.model.rest()
            self.model.offer(alice, bob.name, waits=draw.yes)

        self._step(step, draw.rest)

    @rule(kind=strategies.sampled_from([name for name, weight in WEIGHTS.items() for _ in range(weight)]), draw=draws)
    def act(self, kind: str, draw: Draw) -> None:
        """A step of this kind; if there is nothing for it, something else goes on."""
        before = len(self.model.history)
        KINDS[kind](self, draw)
        if len(self.model.history) == before:
            self._step(functools.partial(self._next, draw.which, draw.what, draw.size), draw.rest)

    def come(self, who: str, entry: int, receiving: bool, sharing: bool, rest: bool) -> None:
        """Another session of a name: of one that is there, or that has gone."""

        def step() -> None:
            there = [live for live in self.model.present if live.name == self.world.person(who).name]
            if len(there) < MOST_SESSIONS:
                self.model.come(who, entry, receiving=receiving, sharing=sharing)

        self._step(step, rest)

    def go(self, which: int, kindly: bool, rest: bool) -> None:
        """A session ends."""

        def step() -> None:
            live = self._live(which)
            if live and len(self.model.present) > 1:
                self.model.go(live, kindly=kindly)

        self._step(step, rest)

    def present(self, which: int, receiving: bool, sharing: bool, rest: bool) -> None:
        """A session wants to hear something else."""

        def step() -> None:
            if live := self._live(which):
                self.model.present_as(live, receiving=receiving, sharing=sharing)

        self._step(step, rest)

    def log_in_badly(self, which: int, who: str, how: int) -> None:
        """A login that must not succeed, or a second one, which changes nothing."""
        kinds = (self._twice, self._with_another_key, self._for_another_nonce, self._before_login)
        self._step(functools.partial(kinds[how % len(kinds)], which, who), True)

    def _twice(self, which: int, who: str) -> None:
        if live := self._live(which):
            credentials = self.world.person(who).credentials("login", live.session.host, b64(os.urandom(32)))
            self.model.ask(live, "login", ["not_now"], credentials=credentials)

    def _refused(self, who: str, identity: Identity, verb: str, nonce: str | None, code: str) -> None:
        server = self.world.entries[0]
        with Session(server, self.world.person(who)) as session:
            challenge = session.next(lambda m: m.get("type") == "challenge", what="the challenge")
            credentials = identity.credentials(verb, session.host, nonce or challenge["nonce"])
            session.send(type=verb, id="x1", credentials=credentials)
            answer = session.next(lambda m: m["id"] == "x1", what="the answer to a bad login")
            self.model.log(f"a bad {verb} as {who} hears {answer}")
            self.model.demand(answer.get("code") == code, f"a bad {verb} is answered by {answer}, not {code}")
            closed = session.close_code()
            self.model.demand(closed == 4401, f"after a bad {verb}, the relay closes with {closed}")

    def _with_another_key(self, which: int, who: str) -> None:
        verb, code = ("register", "name_taken") if which % 2 else ("login", "login_refused")
        self._refused(who, Identity(self.world.person(who).name), verb, None, code)

    def _for_another_nonce(self, which: int, who: str) -> None:
        self._refused(who, self.world.person(who), "login", b64(os.urandom(32)), "login_refused")

    def _before_login(self, which: int, who: str) -> None:
        with Session(self.world.entries[0], self.world.person(who)) as session:
            session.send(type="lookup", id="x1", name=self.world.person(who).name)
            answer = session.next(lambda m: m["id"] == "x1", what="the answer before a login")
            self.model.demand(answer.get("code") == "not_now", f"before a login: {answer}")

    # Offers.

    def offer(self, which: int, to: str, waits: bool, rest: bool) -> None:
        """Offers something new."""

        def step() -> None:
            if live := self._live(which):
                self.model.offer(live, self.world.person(to).name, waits=waits)

        self._step(step, rest)

    def offer_again(self, which: int, waits: bool, rest: bool) -> None:
        """Offers what has ended under the same id, or what runs, which is refused."""

        def step() -> None:
            if not self.model.calm:
                return
            attempt = one([each for each in self.model.attempts if each.sender.open and each.states], which)
            if attempt is None:
                return
            latest = next(each for each in reversed(self.model.attempts) if each.id == attempt.id)
            if latest.ended is None:
                if self.model.settled(latest):
                    self.model.again(latest)
                    self.model.rest()
            else:
                self.model.offer(latest.sender, latest.to, waits=waits, id=latest.id)

        self._step(step, rest)

    def offer_to_unknown_name(self, which: int, rest: bool) -> None:
        """Offers something to a name that there is not."""

        def step() -> None:
            if live := self._live(which):
                self.model.offer(live, "nobody-of-that-name", waits=True)

        self._step(step, rest)

    def accept(self, which: int, rest: bool) -> None:
        """Takes what it was rung for."""

        def step() -> None:
            if ring := one([each for each in self._rings(token=False) if each.said is None], which):
                self.model.accept(ring)

        self._step(step, rest)

    def decline(self, which: int, verb: str, code: int, rest: bool) -> None:
        """Does not take it."""

        def step() -> None:
            if ring := one([each for each in self._rings(token=False) if each.said is None], which):
                self.model.decline(ring, CODES[code % len(CODES)], verb)

        self._step(step, rest)

    def cancel(self, which: int, side: bool, code: int, rest: bool) -> None:
        """One side ends what runs: the sender from its offer on, the receiver from its token on."""

        def step() -> None:
            if side:
                if attempt := one(self._running(), which):
                    self.model.cancel(attempt, one((*CODES[1:2], "source_changed", "sender_gone"), code) or "")
            elif ring := one(self._rings(token=True), which):
                self.model.decline(ring, one((*CODES[1:], "receiver_gone"), code) or "", "cancel")

        self._step(step, rest)

    # Streams.

    def attach(self, which: int, entry: int, number: int, rest: bool) -> None:
        """Shows the download's token, once or several times at once."""

        def step() -> None:
            if ring := one([each for each in self._rings(token=True) if each.attempt.download is None], which):
                self.model.attach(ring, entry, number)

        self._step(step, rest)

    def upload(self, which: int, entry: int, number: int, size: int, part: int, rest: bool) -> None:
        """Shows the upload's token, and sends all of the body, or a part of it."""

        def step() -> None:
            attempt = one([each for each in self._flowing() if each.token and not each.upload], which)
            if attempt:
                self.model.upload(attempt, entry, number, size, size * min(part, 8) // 8)

        self._step(step, rest)

    def finish(self, which: int, rest: bool) -> None:
        """Sends the rest of a body."""

        def step() -> None:
            halves = [each.upload for each in self._flowing() if each.upload and not each.upload.cut]
            if half := one([each for each in halves if not each.whole], which):
                self.model.finish(half)

        self._step(step, rest)

    def cut(self, which: int, role: bool, reset: bool, rest: bool) -> None:
        """Cuts one half of a stream."""

        def step() -> None:
            halves = [each.upload if role else each.download for each in self._flowing()]
            if half := one([each for each in halves if each and not each.cut], which):
                self.model.cut(half, reset=reset)

        self._step(step, rest)

    def deliver(self, which: int, rest: bool) -> None:
        """The receiver says that it has everything: when it may, or too early."""

        def step() -> None:
            if ring := one(self._rings(token=True), which):
                self.model.deliver(ring)

        self._step(step, rest)

    def advance(self, which: int, entry: int, size: int, number: int) -> None:
        """Something goes on as it should, for so many steps."""
        for _ in range(number):
            self._step(functools.partial(self._next, which, entry, size), True)

    def _next(self, which: int, entry: int, size: int) -> None:
        attempt = one([each for each in self._running() if each.rings], which)
        if attempt is None:
            return
        ring = attempt.receiver
        if ring is None:
            open_rings = [each for each in attempt.rings.values() if each.ended is None and each.live.open]
            if (ring := one([each for each in open_rings if each.said is None], which)) is not None:
                self.model.accept(ring)
        elif attempt.download is None:
            self.model.attach(ring, entry, 1)
        elif attempt.upload is None:
            if attempt.token:
                self.model.upload(attempt, entry // 2, 1, size, size)
        elif not attempt.upload.whole and not attempt.upload.cut:
            self.model.finish(attempt.upload)
        elif ring.ended is None and ring.live.open:
            self.model.deliver(ring)

    def note(self, which: int, way: bool, rest: bool) -> None:
        """One side says something to the other."""

        def step() -> None:
            if attempt := one(self._accepted(), which):
                self.model.note(attempt, "up" if way else "down")

        self._step(step, rest)

    def progress(self, which: int, count: int, rest: bool) -> None:
        """The receiver says how far it is."""

        def step() -> None:
            if ring := one(self._rings(token=True), which):
                self.model.progress(ring, count)

        self._step(step, rest)

    # What is not its own, or no good.

    def forge(self, which: int, what: int, verb: str, guessed: bool) -> None:
        """A session speaks about a transfer that it has no part in."""

        def step() -> None:
            if not self.model.calm:
                self.model.rest()
            live = self._live(which)
            attempt = one(self.model.attempts, what)
            if live is None:
                return
            if guessed or attempt is None:
                self.model.forge(live, verb, b64(os.urandom(16)))
            elif all(each.sender is not live and live not in each.rings for each in self._of(attempt.id)):
                self.model.forge(live, verb, attempt.id)

        self._step(step, True)

    def _of(self, id: str) -> list[Attempt]:
        return [each for each in self.model.attempts if each.id == id]

    def show(self, what: int, entry: int, kind: int) -> None:
        """A token that is guessed, used, over, or the other side's; a good one in a way that does not use it up."""

        def step() -> None:
            if not self.model.calm:
                self.model.rest()
            used: list[tuple[str, str]] = []
            good: list[tuple[str, str]] = []
            for attempt in self.model.attempts:
                down, up = attempt.receiver.token if attempt.receiver else None, attempt.token
                over = attempt not in self._flowing()
                for place, given, half in (("/download", down, attempt.download), ("/upload", up, attempt.upload)):
                    # A connection that the relay may not have seen has used nothing up yet.
                    if given and (over or not half or half.taken):
                        (used if half or over else good).append((place, given))
            path, token = one(used, what) or ("/download", b64(os.urandom(32)))
            if kind % 3 == 0:
                self.model.show(entry, "GET" if path == "/download" else "PUT", path, token, (403,))
            elif kind % 3 == 1 and good:
                path, token = one(good, what) or ("", "")
                if path == "/download":
                    self.model.show(entry, "PUT", "/upload", token, (403,))
                else:
                    self.model.show(entry, "GET", "/download", token, (403,))
            elif good:
                path, token = one(good, what) or ("", "")
                self.model.show(entry, "DELETE" if path == "/upload" else "HEAD", path, token, (403, 405))

        self._step(step, True)

    def talk_nonsense(self, which: int, what: int) -> None:
        """A message that is none, or of no type."""

        def step() -> None:
            if live := self._live(which):
                if what % 3 == 0:
                    self.model.ask(live, "nonsense", ["unknown_type"])
                elif what % 3 == 1:
                    self.model.ask(live, "offer-again", ["bad_message"], type="offer", to=1)
                else:
                    self.model.ask(live, "offer-again", ["bad_message"], type="decline", transfer="x", code="declined")

        self._step(step, True)

    def lookup(self, which: int, who: str, rest: bool) -> None:
        """Looks a name up: its key, and whether it is there."""

        def step() -> None:
            if live := self._live(which):
                person = self.world.person(who).name
                exact = self.model.calm and not self.world.several
                online = any(each.receiving for each in self.model.present if each.name == person) if exact else None
                self.model.ask(live, "lookup", ["peer", "unknown_peer"], online, name=person)

        self._step(step, rest)

    # Requests.

    def request(self, which: int, to: str, again: bool, rest: bool) -> None:
        """Asks for something; or once more under the same id, which is refused."""

        def step() -> None:
            live = self._live(which)
            if live is None:
                return
            own = [each for each in self.model.requests if each.live is live and each.open]
            if again and own and self.model.calm:
                self.model.request(live, own[0].to, own[0].id)
            elif len(own) < 4:
                self.model.request(live, self.world.person(to).name)

        self._step(step, rest)

    def withdraw(self, which: int, what: int, own: bool, rest: bool) -> None:
        """Has had enough; or says so about another's request, which changes nothing."""

        def step() -> None:
            request = one(self.model.requests, what)
            live = request.live if request and own else self._live(which)
            if request and live and live.open:
                self.model.withdraw(live, request)

        self._step(step, rest)

    def refuse(self, which: int, what: int, right: bool, code: int, rest: bool) -> None:
        """Says that there will be no offer; or says so in place of who was asked."""

        def step() -> None:
            request = one(self.model.requests, what)
            live = self._answering(request, which, right)
            if request and live:
                said = one(("not_shared", "declined", "too_many_requests"), code) or ""
                self.model.refuse(live, request, request.live.name, said)

        self._step(step, rest)

    def answer(self, which: int, what: int, right: bool, waits: bool, rest: bool) -> None:
        """Offers something for a request; or for one that it was not asked."""

        def step() -> None:
            request = one(self.model.requests, what)
            live = self._answering(request, which, right)
            if request and live and live is not request.live:
                self.model.offer(live, request.live.name, waits=waits, request=request)

        self._step(step, rest)

    def _answering(self, request: Request | None, which: int, right: bool) -> Live | None:
        if request is None or not right:
            return self._live(which)
        return one([live for live in self.model.present if live.name == request.to], which)

    def teardown(self) -> None:
        """All sessions go."""
        if self._is_broken:
            self.model.abandon()
            return
        try:
            self.model.rest()
            self.model.end()
        except BaseException:
            self.model.abandon()
            raise
        type(self).done += 1


KINDS: dict[str, Callable[[Clients, Draw], None]] = {
    "come": lambda at, d: at.come(d.who, d.what, d.yes, d.also, d.rest),
    "go": lambda at, d: at.go(d.which, d.yes, d.rest),
    "present": lambda at, d: at.present(d.which, d.yes, d.also, d.rest),
    "log in badly": lambda at, d: at.log_in_badly(d.which, d.who, d.what),
    "offer": lambda at, d: at.offer(d.which, d.who, d.yes, d.rest),
    "offer again": lambda at, d: at.offer_again(d.which, d.yes, d.rest),
    "offer to an unknown name": lambda at, d: at.offer_to_unknown_name(d.which, d.rest),
    "accept": lambda at, d: at.accept(d.which, d.rest),
    "decline": lambda at, d: at.decline(d.which, "decline" if d.yes or d.also else "cancel", d.what, d.rest),
    "cancel": lambda at, d: at.cancel(d.which, d.yes, d.what, d.rest),
    "attach": lambda at, d: at.attach(d.which, d.what, d.times, d.rest),
    "upload": lambda at, d: at.upload(d.which, d.what, d.times, d.size, 8 if d.yes else d.what % 8, d.rest),
    "finish": lambda at, d: at.finish(d.which, d.rest),
    "cut": lambda at, d: at.cut(d.which, d.yes, d.also, d.rest),
    "deliver": lambda at, d: at.deliver(d.which, d.rest),
    "advance": lambda at, d: at.advance(d.which, d.what, d.size, d.what % 4 + 1),
    "note": lambda at, d: at.note(d.which, d.yes, d.rest),
    "progress": lambda at, d: at.progress(d.which, d.size, d.rest),
    "forge": lambda at, d: at.forge(d.which, d.what, FORGED[d.size % len(FORGED)], d.yes and d.also),
    "show": lambda at, d: at.show(d.what, d.which, d.size),
    "talk nonsense": lambda at, d: at.talk_nonsense(d.which, d.what),
    "lookup": lambda at, d: at.lookup(d.which, d.who, d.rest),
    "request": lambda at, d: at.request(d.which, d.who, d.yes and d.also, d.rest),
    "withdraw": lambda at, d: at.withdraw(d.which, d.what, d.yes, d.rest),
    "refuse": lambda at, d: at.refuse(d.which, d.what, d.yes, d.size, d.rest),
    "answer": lambda at, d: at.answer(d.which, d.what, d.yes or d.also, d.yes, d.rest),
}


def run(world: World, *, examples: int, seed: int | None, steps: int = STEPS, shrinks: bool = False) -> int:
    """So many runs: those of a seed, or without one, the same ones at each time; returns how many came to their end.
    The seed is printed, to be shown when one of them fails: `scripts/prove --seed N properties --examples N` repeats
    them."""
    print(f"{examples} runs of random clients, seed {seed}")
    machine: type[Clients] = type("Clients", (Clients,), {"world": world})
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        derandomize=seed is None,
        print_blob=True,
        report_multiple_bugs=False,
        phases=[*phases, hypothesis.Phase.shrink] if shrinks else phases,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    try:
        run_state_machine_as_test(machine if seed is None else hypothesis.seed(seed)(machine), settings=settings)
    except hypothesis.errors.Flaky as flaky:
        # It did not go wrong again, as is the way of races: what was seen the first time counts.
        if world.violation is None:
            raise
        raise world.violation from flaky
    return machine.done
