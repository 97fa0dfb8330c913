# SPDX-License-Identifier: Apache-2.0
"""Random clients that are held to a model of the wire: hypothesis chooses what they do, and in which order.

Every step draws the same few numbers, whatever is there: they choose among what there is at that moment, and a step for
which there is nothing is none. So a run is repeated by its seed, or by what hypothesis prints for it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

import hypothesis
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from .protocol import Identity, Session, b64
from .wire_model import Model, World
from .wire_parts import Attempt, Live, Request, Ring

T = TypeVar("T")
NAMES = ("a", "b", "c")
#: Of one name.
MOST_SESSIONS = 3
STEPS = 40
CODES = ("declined", "cancelled", "no_space", "cannot_write", "too_large")

pick = strategies.integers(0, 11)
flag = strategies.booleans()
name = strategies.sampled_from(NAMES)
#: Whether everything may come before the next step: without that, several things happen at once.
rests = strategies.sampled_from((True, True, False))
times = strategies.sampled_from((1, 1, 1, 2, 3))


def one(of: Sequence[T], number: int) -> T | None:
    """One of them; None if there is none."""
    return of[number % len(of)] if of else None


class Clients(RuleBasedStateMachine):
    """The steps that clients may take."""

    world: ClassVar[World]

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

    def _accepted(self) -> list[Attempt]:
        """Both sides may."""
        return [
            each for each in self._running() if each.receiver and each.receiver.live.open and not each.receiver.ended
        ]

    # Coming and going.

    @initialize(receiving=flag, entries=strategies.tuples(pick, pick, pick), sharing=flag)
    def begin(self, receiving: bool, entries: tuple[int, int, int], sharing: bool) -> None:
        """One session of each name."""

        def step() -> None:
            self.model.come("a", entries[0], sharing=sharing)
            self.model.come("b", entries[1], receiving=True)
            self.model.come("c", entries[2], receiving=receiving)

        self._step(step, True)

    @rule(who=name, entry=pick, receiving=flag, sharing=flag, rest=rests)
    def come(self, who: str, entry: int, receiving: bool, sharing: bool, rest: bool) -> None:
        """Another session of a name: of one that is there, or that has gone."""

        def step() -> None:
            there = [live for live in self.model.present if live.name == self.world.person(who).name]
            if len(there) < MOST_SESSIONS:
                self.model.come(who, entry, receiving=receiving, sharing=sharing)

        self._step(step, rest)

    @rule(which=pick, kindly=flag, rest=rests)
    def go(self, which: int, kindly: bool, rest: bool) -> None:
        """A session ends."""

        def step() -> None:
            live = self._live(which)
            if live and len(self.model.present) > 1:
                self.model.go(live, kindly=kindly)

        self._step(step, rest)

    @rule(which=pick, receiving=flag, sharing=flag, rest=rests)
    def present(self, which: int, receiving: bool, sharing: bool, rest: bool) -> None:
        """A session wants to hear something else."""

        def step() -> None:
            if live := self._live(which):
                self.model.present_as(live, receiving=receiving, sharing=sharing)

        self._step(step, rest)

    @rule(which=pick, who=name, how=pick)
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

    @rule(which=pick, to=name, waits=flag, rest=rests)
    def offer(self, which: int, to: str, waits: bool, rest: bool) -> None:
        """Offers something new."""

        def step() -> None:
            if live := self._live(which):
                self.model.offer(live, self.world.person(to).name, waits=waits)

        self._step(step, rest)

    @rule(which=pick, waits=flag, rest=rests)
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
                self.model.again(latest)
                self.model.rest()
            else:
                self.model.offer(latest.sender, latest.to, waits=waits, id=latest.id)

        self._step(step, rest)

    @rule(which=pick, rest=rests)
    def offer_to_nobody(self, which: int, rest: bool) -> None:
        """Offers something to a name that there is not."""

        def step() -> None:
            if live := self._live(which):
                self.model.offer(live, "nobody-of-that-name", waits=True)

        self._step(step, rest)

    @rule(which=pick, rest=rests)
    def accept(self, which: int, rest: bool) -> None:
        """Takes what it was rung for."""

        def step() -> None:
            if ring := one([each for each in self._rings(token=False) if each.said is None], which):
                self.model.accept(ring)

        self._step(step, rest)

    @rule(which=pick, verb=strategies.sampled_from(("decline", "decline", "cancel")), code=pick, rest=rests)
    def decline(self, which: int, verb: str, code: int, rest: bool) -> None:
        """Does not take it."""

        def step() -> None:
            if ring := one([each for each in self._rings(token=False) if each.said is None], which):
                self.model.decline(ring, CODES[code % len(CODES)], verb)

        self._step(step, rest)

    @rule(which=pick, side=flag, code=pick, rest=rests)
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

    @rule(which=pick, entry=pick, number=times, rest=rests)
    def attach(self, which: int, entry: int, number: int, rest: bool) -> None:
        """Shows the download's token, once or several times at once."""

        def step() -> None:
            if ring := one([each for each in self._rings(token=True) if each.attempt.download is None], which):
                self.model.attach(ring, entry, number)

        self._step(step, rest)

    @rule(which=pick, entry=pick, number=times, size=strategies.integers(1, 200_000), part=pick, rest=rests)
    def upload(self, which: int, entry: int, number: int, size: int, part: int, rest: bool) -> None:
        """Shows the upload's token, and sends all of the body, or a part of it."""

        def step() -> None:
            attempt = one([each for each in self._accepted() if each.token and not each.upload], which)
            if attempt:
                self.model.upload(attempt, entry, number, size, size * min(part, 8) // 8)

        self._step(step, rest)

    @rule(which=pick, rest=rests)
    def finish(self, which: int, rest: bool) -> None:
        """Sends the rest of a body."""

        def step() -> None:
            halves = [each.upload for each in self._accepted() if each.upload and not each.upload.cut]
            if half := one([each for each in halves if not each.whole], which):
                self.model.finish(half)

        self._step(step, rest)

    @rule(which=pick, role=flag, reset=flag, rest=rests)
    def cut(self, which: int, role: bool, reset: bool, rest: bool) -> None:
        """Cuts one half of a stream."""

        def step() -> None:
            halves = [each.upload if role else each.download for each in self._accepted()]
            if half := one([each for each in halves if each and not each.cut], which):
                self.model.cut(half, reset=reset)

        self._step(step, rest)

    @rule(which=pick, rest=rests)
    def deliver(self, which: int, rest: bool) -> None:
        """The receiver says that it has everything: when it may, or too early."""

        def step() -> None:
            if ring := one(self._rings(token=True), which):
                self.model.deliver(ring)

        self._step(step, rest)

    @rule(which=pick, entry=pick, size=strategies.integers(1, 100_000), number=strategies.integers(1, 4))
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
        elif not attempt.upload.whole:
            self.model.finish(attempt.upload)
        else:
            self.model.deliver(ring)

    @rule(which=pick, way=flag, rest=rests)
    def note(self, which: int, way: bool, rest: bool) -> None:
        """One side says something to the other."""

        def step() -> None:
            if attempt := one(self._accepted(), which):
                self.model.note(attempt, "up" if way else "down")

        self._step(step, rest)

    @rule(which=pick, count=strategies.integers(0, 2**63), rest=rests)
    def progress(self, which: int, count: int, rest: bool) -> None:
        """The receiver says how far it is."""

        def step() -> None:
            if ring := one(self._rings(token=True), which):
                self.model.progress(ring, count)

        self._step(step, rest)

    # What is not its own, or no good.

    @rule(
        which=pick,
        what=pick,
        verb=strategies.sampled_from(("accept", "decline", "cancel", "delivered", "note")),
        guessed=flag,
    )
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

    @rule(what=pick, entry=pick, kind=pick)
    def show(self, what: int, entry: int, kind: int) -> None:
        """A token that is guessed, used, over, or the other side's; a good one in a way that does not use it up."""

        def step() -> None:
            if not self.model.calm:
                self.model.rest()
            used: list[tuple[str, str]] = []
            good: list[tuple[str, str]] = []
            for attempt in self.model.attempts:
                down, up = attempt.receiver.token if attempt.receiver else None, attempt.token
                over = attempt not in self._accepted()
                if down:
                    (used if attempt.download or over else good).append(("/download", down))
                if up:
                    (used if attempt.upload or over else good).append(("/upload", up))
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

    @rule(which=pick, what=pick)
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

    @rule(which=pick, who=name, rest=rests)
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

    @rule(which=pick, to=name, again=flag, rest=rests)
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

    @rule(which=pick, what=pick, own=flag, rest=rests)
    def withdraw(self, which: int, what: int, own: bool, rest: bool) -> None:
        """Has had enough; or says so about another's request, which changes nothing."""

        def step() -> None:
            request = one(self.model.requests, what)
            live = request.live if request and own else self._live(which)
            if request and live and live.open:
                self.model.withdraw(live, request)

        self._step(step, rest)

    @rule(which=pick, what=pick, right=flag, code=pick, rest=rests)
    def refuse(self, which: int, what: int, right: bool, code: int, rest: bool) -> None:
        """Says that there will be no offer; or says so in place of who was asked."""

        def step() -> None:
            request = one(self.model.requests, what)
            live = self._answering(request, which, right)
            if request and live:
                said = one(("not_shared", "declined", "too_many_requests"), code) or ""
                self.model.refuse(live, request, request.live.name, said)

        self._step(step, rest)

    @rule(which=pick, what=pick, right=flag, waits=flag, rest=rests)
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


def run(world: World, *, examples: int, seed: int | None, steps: int = STEPS, shrinks: bool = False) -> None:
    """So many runs: those of a seed, or without one, the same ones at each time."""
    machine = type("Clients", (Clients,), {"world": world})
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
    run_state_machine_as_test(machine if seed is None else hypothesis.seed(seed)(machine), settings=settings)
