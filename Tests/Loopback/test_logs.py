# SPDX-License-Identifier: Apache-2.0
"""The log: how much of an address is in it, and that every line about a transfer can be found by one id."""

import json
import re

import pytest

from harness import raw
from harness.control import Socket
from harness.relay import Relay
from harness.waiting import until

LINE = re.compile(r"\S+Z (?:trace|debug|info|notice|warning|error|critical) .*")


def met_a_limit(relay):
    """Makes the relay log an address, and returns that line's."""
    with Socket(relay) as early:
        for number in range(11):
            early.say(type="lookup", id=f"c{number}", name="bob")
        assert early.closing() == 1008
    until(lambda: "a limit was met" in relay.logs(), 10, relay.logs)
    (line,) = [line for line in relay.logs().splitlines() if "a limit was met" in line]
    return line


@pytest.mark.parametrize(
    ("choice", "shown"), [(None, "remote=127.0.0.1"), ("prefix", "remote=127.0.0.0/24"), ("none", None)]
)
def test_an_address_is_logged_as_far_as_the_operator_wants(own_relay, choice, shown):
    arguments = () if choice is None else ("--log-addresses", choice)
    relay = own_relay(registration="open", level="trace", arguments=arguments)
    line = met_a_limit(relay)
    assert f" {shown} " in line + " " if shown else "remote" not in line
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(b"\x00\x01 nonsense\r\n\r\n")
        connection.answer()
    relay.stop()
    if choice:
        # What the relay itself listens on is no client's.
        clients = [line for line in relay.logs().splitlines() if "address=" not in line]
        assert not [line for line in clients if "127.0.0.1" in line], relay.logs()


def test_every_line_is_of_one_form(own_relay):
    for form in ("text", "json"):
        relay = own_relay(registration="open", level="trace", arguments=("--log-format", form))
        met_a_limit(relay)
        relay.stop()
        for line in relay.logs().splitlines():
            if form == "text":
                assert LINE.fullmatch(line), line
            else:
                assert {"time", "level", "message"} <= json.loads(line).keys()


def test_a_wrong_choice_is_refused(binaries, certs, tmp_path):
    relay = Relay(binaries, certs, tmp_path / "relay", arguments=("--log-addresses", "some")).launch()
    assert relay.process.wait(20) == 64
    assert '--log-addresses: "some" is not one of full, prefix, none' in relay.logs()
