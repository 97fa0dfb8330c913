# SPDX-License-Identifier: Apache-2.0
"""Random clients of one relay, held to a model of what it may say: `scripts/prove properties` in small."""

import random

import pytest

from harness import metrics, processes
from harness.relay import Relay
from harness.wire_machine import run
from harness.wire_model import FAULTS, Model, Violation, World


@pytest.fixture(scope="module")
def world(binaries, certs, tmp_path_factory):
    """A relay, and the people of it."""
    arguments = ("--metrics-listen", "127.0.0.1:0")
    with processes.shared():
        relay = Relay(binaries, certs, tmp_path_factory.mktemp("relay"), registration="open", arguments=arguments)
        relay.start()
    yield World([relay], [metrics.port_of(relay)])
    relay.stop()


@pytest.mark.slow
def test_known_random_clients_hear_what_the_model_allows(world):
    run(world, examples=20, seed=None)


@pytest.mark.slow
def test_new_random_clients_hear_what_the_model_allows(world):
    run(world, examples=20, seed=random.SystemRandom().getrandbits(32))


def story(model):
    """A transfer that is delivered, and one that is taken back."""
    alice = model.come("a", 0)
    bob = model.come("b", 0, receiving=True)
    model.rest()
    model.offer(alice, bob.name, waits=True)
    model.rest()
    (ring,) = bob.rings.values()
    for step in (model.accept, lambda ring: model.attach(ring, 0, 1)):
        step(ring)
        model.rest()
    for step in (lambda: model.upload(ring.attempt, 0, 1, 1000, 1000), lambda: model.deliver(ring)):
        step()
        model.rest()
    model.offer(alice, bob.name, waits=True)
    model.rest()
    model.cancel(model.attempts[-1], "cancelled")
    model.rest()
    model.end()


def test_a_story_without_a_fault_breaks_no_rule(world):
    story(Model(world))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_model_finds_each_fault(world, fault):
    model = Model(world.with_fault(fault))
    with pytest.raises(Violation, match=FAULTS[fault].found):
        story(model)
    model.abandon()
