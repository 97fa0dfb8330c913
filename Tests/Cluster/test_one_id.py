# SPDX-License-Identifier: Apache-2.0
"""One id finds every line about a transfer: on each node that has a part in it, and at both clients."""

import json
import re

import pytest

from harness import content
from harness.waiting import until

# A line as people read it: time, level, message, and fields whose values are words, or quoted.
LINE = re.compile(r'\S+Z (?P<level>\w+) (?P<message>.*?)(?P<fields>(?: [a-z]+=(?:"(?:[^"\\]|\\.)*"|\S*))*)')
FIELD = re.compile(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|\S*)')
# What is logged about connections, which are no transfer's yet, and about nodes: all else that is logged while a file
# goes through is about that.
OF_OTHERS = {
    *("control connection opened", "session opened", "control connection closed", "connection failed"),
    "session ticket keys of the cluster",
}


def read(log, form):
    """The lines of a log: (message, fields) each."""
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        return [(line["message"], {key: line[key] for key in line if key not in ("time", "message")}) for line in lines]
    found = []
    for line in log.splitlines():
        parts = LINE.fullmatch(line)
        assert parts, line
        found.append((parts["message"], {"level": parts["level"], **dict(FIELD.findall(parts["fields"]))}))
    return found


@pytest.mark.parametrize("form", ["text", "json"])
def test_one_id_is_on_all_three_nodes_and_at_both_clients(cluster, tmp_path, form):
    made = cluster("--nodes", "3", env={"RELAY_LOG_LEVEL": "debug", "RELAY_LOG_FORMAT": form})
    home, receivers, uploads = made.members()
    alice, bob = made.person("alice", tmp_path), receivers.person("bob", tmp_path)
    name = "a-name-that-no-log-may-have.bin"
    (tmp_path / name).write_bytes(content.data("one id", 300_000))
    # The nodes have found each other: from here on they have nothing to say but about the transfer.
    before = {node.name: len(node.logs()) for node in made.members()}
    # The sender's session is on one node, the receiver and its stream on another, and the upload comes to the third.
    made.balance(home)
    sending = alice.send(bob, tmp_path / name, "--verbose", "--json")
    until(lambda: sending.events("waiting"), 20, sending.tail)
    made.balance(uploads)
    # It may be through before anyone could see that it was there.
    receiving = bob.receive("--verbose", ready=False)
    sending.expect(0, 30)
    receiving.expect(0, 30)
    (delivered,) = sending.events("delivered")
    transfer = delivered["transfer"]
    assert [event["message"] for event in sending.events("detail") if transfer in event["message"]]
    assert f"attempt {transfer} of transfer {transfer}" in receiving.err()
    logs = {node.name: node.logs() for node in (home, receivers, uploads)}
    lines = {node: read(log[before[node] :], form) for node, log in logs.items()}
    of_transfer = {
        node: [(message, fields) for message, fields in each if message not in OF_OTHERS]
        for node, each in lines.items()
    }
    for node, each in of_transfer.items():
        assert each, logs[node]
        assert [line for line in each if line[1].get("transfer") != transfer] == [], node
    # Each node says its own part: what its session is told, what becomes of its stream, and where an upload goes.
    told = {
        (node, fields["event"]) for node, each in of_transfer.items() for message, fields in each if "event" in fields
    }
    assert {(home.name, "start"), (home.name, "delivered"), (receivers.name, "ring")} <= told
    assert {(receivers.name, "parked"), (receivers.name, "joined"), (receivers.name, "finished")} <= told
    assert ("upload", receivers.name) in {
        (message, fields.get("node")) for message, fields in of_transfer[uploads.name]
    }
    ended = [fields for each in of_transfer.values() for message, fields in each if message == "transfer ended"]
    assert [(fields["outcome"], fields["level"]) for fields in ended] == [("delivered", "info")], ended
    for log in logs.values():
        assert name not in log and "Bearer" not in log


# How a client says with --verbose which attempt of the log is which transfer of the person's.
ATTEMPT = re.compile(r"attempt ([\w-]{22}) of transfer ([\w-]{22})")


def test_after_a_cut_each_client_names_the_new_id_with_the_old_one(cluster, tmp_path):
    made = cluster("--nodes", "2", env={"RELAY_LOG_LEVEL": "debug"})
    home, dying = made.members()
    alice, bob = made.person("alice", tmp_path), made.person("bob", tmp_path)
    content.file(tmp_path / "file", "cut", 12_000_000)
    for node in (home, dying):
        assert node.command("users", "limit", alice.name, "rate=1M").returncode == 0
    made.balance(dying)
    receiving = bob.receive("--verbose")
    until(lambda: bob.name in dying.command("sessions", "list").stdout, 20, receiving.tail)
    made.balance(home)
    sending = alice.send(bob, tmp_path / "file", "--verbose", "--json")
    until(lambda: sending.events("progress"), 30, sending.tail)
    dying.kill()
    until(lambda: sending.events("resumed"), 60, sending.tail)
    assert home.command("users", "limit", alice.name, "rate=default").returncode == 0
    sending.expect(0, 60)
    receiving.expect(0, 30)
    (delivered,) = sending.events("delivered")
    transfer = delivered["transfer"]
    sent = ATTEMPT.findall("\n".join(event["message"] for event in sending.events("detail")))
    taken = ATTEMPT.findall(receiving.err())
    assert {of for _, of in sent + taken} == {transfer}
    # The first attempt has the transfer's own id. Where the relay's log has another, both sides say whose it is.
    assert sent[0][0] == taken[0][0] == transfer
    last = sent[-1][0]
    assert taken[-1][0] == last != transfer
    assert f"outcome=delivered transfer={last}" in home.logs()
    assert f"transfer={transfer}" in home.logs() and f"transfer={transfer}" in dying.logs()
