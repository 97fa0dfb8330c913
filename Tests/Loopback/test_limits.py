# SPDX-License-Identifier: Apache-2.0
"""How much a user, and an address, may say in a second, and how many of their offers may wait for an answer: as each of
the three ways to set it sets it."""

import contextlib
import json
import time

import pytest

from harness import metrics, protocol
from harness.configured import Configured
from harness.control import TEXT, Socket, frame
from harness.relay import unique

# For every user by the command line, or anew by the configuration file; or for one of them by an operator.
FLAG, RELOAD, USER = "--limit", "reload", "users limit"


class Limited(Configured):
    """A relay that sets one limit in one of the ways."""

    def __init__(self, own_relay, tmp_path, way, limit):
        self.way = way
        self.name, self.value = limit.split("=")
        super().__init__(own_relay, tmp_path, arguments=["--limit", limit] if way == FLAG else [])

    def put(self, name):
        """Sets it, for that user at least."""
        limit = f"{self.name}={self.value}"
        if self.way == RELOAD:
            self.reload("limit", limit=[limit])
        elif self.way == USER:
            self.limit(name, limit)
        assert self.shown(name) == int(self.value)
        usual = self.relay.status()["limits"][self.name]
        assert usual > int(self.value) if self.way == USER else usual == int(self.value)

    def lift(self, name):
        """As it is where nothing is set."""
        if self.way == RELOAD:
            self.reload("limit")
        elif self.way == USER:
            self.limit(name, f"{self.name}=default")

    def limit(self, name, *limits):
        """`users limit`."""
        done = self.relay.command("users", "limit", name, *limits)
        assert done.returncode == 0, done

    def shown(self, name):
        """What `users show` says of the limit."""
        done = self.relay.command("users", "show", name, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)["limits"][self.name]

    def met(self, limit, scope):
        """How often a limit was met."""
        return self.figure(f'relay_limits_met_total{{limit="{limit}",of="{scope}"}}')

    def held(self):
        """Seconds that messages were held back."""
        return self.figure("relay_messages_held_back_seconds_total")

    def figure(self, name):
        """One of the metrics."""
        return metrics.scrape(metrics.port_of(self.relay))[name]


def ask(session, count=100):
    """So many lookups at once, which are two units of a message each; the seconds until all are answered."""
    text = json.dumps({"type": "lookup", "id": "c1", "name": "nobody-of-that-name"}).encode()
    began = time.monotonic()
    session.send(frame(TEXT, text) * count)
    for _ in range(count):
        assert session.message()["code"] == "unknown_peer"
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.parametrize("way", [FLAG, RELOAD, USER])
def test_messages_wait_for_what_is_set(own_relay, tmp_path, way):
    limited = Limited(own_relay, tmp_path, way, "messages=50")
    alice, bob = protocol.Identity(unique("alice")), protocol.Identity(unique("bob"))
    with Socket(limited.relay).login(alice) as session:
        if way != FLAG:
            # The usual thousand a second, and two thousand at once.
            ask(session)
            assert limited.met("messages", "user") == 0
        limited.put(alice.name)
        # A hundred units are there at once, and a hundred take two seconds.
        assert ask(session) > 1.5
        assert limited.met("messages", "user") > 0 and limited.met("messages", "address") == 0
        line = next(line for line in limited.relay.logs().splitlines() if "a limit was met" in line)
        assert f"name={alice.name}" in line and "limit=messages" in line, line
        met = limited.met("messages", "user")
        # Not before: the address pays for every login, and has no more at once than one user has.
        with Socket(limited.relay).login(bob) as other:
            if way == USER:
                ask(other)
                assert limited.met("messages", "user") == met, "it is hers alone"
            elif way == FLAG:
                assert ask(other) > 1.5
                assert limited.met("messages", "user") > met
        if way != FLAG:
            limited.lift(alice.name)
            held = limited.held()
            ask(session)
            # At fifty a second it would be four.
            assert limited.held() - held < 2


@pytest.mark.slow
def test_the_messages_of_an_address_are_those_of_so_many_users(own_relay, tmp_path):
    limited = Limited(own_relay, tmp_path, FLAG, "messages=50")
    limited.reload("address-limit", address_limit="1")
    alice, bob = protocol.Identity(unique("alice")), protocol.Identity(unique("bob"))
    with Socket(limited.relay).login(alice) as session, Socket(limited.relay).login(bob) as other:
        for each in (alice, bob):
            limited.limit(each.name, "messages=off")
        assert ask(session, 50) + ask(other, 50) > 1.5
        assert limited.met("messages", "address") > 0 and limited.met("messages", "user") == 0
        limited.reload("address-limit", address_limit="off")
        held = limited.held()
        ask(session)
        # What was used up before still counts for a second; at fifty a second it would be four.
        assert limited.held() - held < 2


def offer(session, to):
    """One more file for `to`."""
    return session.offer(to.identity.name, protocol.pack(v=0, name="file"))


def refusal(session, to):
    """What the relay says to one more, which is too many."""
    with pytest.raises(protocol.Refused) as refused:
        offer(session, to)
    assert refused.value.code == "too_many_transfers"
    return refused.value.message["message"]


@pytest.mark.parametrize("way", [FLAG, RELOAD, USER])
def test_as_many_offers_wait_as_is_set(own_relay, tmp_path, way):
    limited = Limited(own_relay, tmp_path, way, "offers=3")
    with contextlib.ExitStack() as sessions:
        bob = sessions.enter_context(contextlib.closing(limited.relay.session("bob", receiving=True)))
        alice = sessions.enter_context(contextlib.closing(limited.relay.session("alice")))
        carol = sessions.enter_context(contextlib.closing(limited.relay.session("carol")))
        name = alice.identity.name
        offers = [offer(alice, bob) for _ in range(3 if way == FLAG else 4)]
        limited.put(name)
        number = " (3)" if way == USER else ""
        whose = f"{name} has, on all connections together, as many unanswered offers as there may be{number}"
        assert refusal(alice, bob) == f"{whose}: wait until some of them are answered"
        assert limited.met("pending", "user") == 1 and limited.met("pending", "address") == 0
        # What waited before stays, and others have theirs.
        assert [each.states for each in offers] == [["ringing"]] * len(offers)
        offer(carol, bob)
        # What is accepted, or over, waits no more.
        bob.accept(offers[0].transfer)
        if way != FLAG:
            refusal(alice, bob)
            alice.cancel(offers[1].transfer)
        offer(alice, bob)
        refusal(alice, bob)
        if way != FLAG:
            limited.lift(name)
            for _ in range(5):
                offer(alice, bob)


def test_as_many_offers_of_an_address_wait_as_of_so_many_users(own_relay, tmp_path):
    limited = Limited(own_relay, tmp_path, FLAG, "offers=2")
    limited.reload("address-limit", address_limit="2")
    with contextlib.ExitStack() as sessions:
        bob = sessions.enter_context(contextlib.closing(limited.relay.session("bob", receiving=True)))
        people = [
            sessions.enter_context(contextlib.closing(limited.relay.session(name)))
            for name in ("alice", "carol", "dave")
        ]
        for each in people[:2]:
            for _ in range(2):
                offer(each, bob)
        whose = "the network you come from has, all its users together, as many unanswered offers as there may be"
        assert refusal(people[2], bob) == f"{whose}: wait until some of them are answered"
        assert limited.met("pending", "address") == 1 and limited.met("pending", "user") == 0
        limited.reload("address-limit", address_limit="3")
        offer(people[2], bob)
