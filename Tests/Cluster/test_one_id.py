# SPDX-License-Identifier: Apache-2.0
"""One id finds every line about a transfer: on each node that has a part in it, and at both clients."""

import re

from harness import content
from harness.waiting import until


def test_one_id_is_on_all_three_nodes_and_at_both_clients(cluster, tmp_path):
    made = cluster("--nodes", "3", env={"RELAY_LOG_LEVEL": "debug"})
    home, receivers, uploads = made.members()
    alice, bob = made.person("alice", tmp_path), receivers.person("bob", tmp_path)
    name = "a-name-that-no-log-may-have.bin"
    (tmp_path / name).write_bytes(content.data("one id", 300_000))
    # The sender's session is on one node, the receiver and its stream on another, and the upload comes to the third.
    made.balance(home)
    sending = alice.send(bob, tmp_path / name, "--verbose", "--json")
    until(lambda: sending.events("waiting"), 20, sending.tail)
    made.balance(uploads)
    receiving = bob.receive("--verbose")
    sending.expect(0, 30)
    receiving.expect(0, 30)
    (delivered,) = sending.events("delivered")
    transfer = delivered["transfer"]
    assert [event["message"] for event in sending.events("detail") if transfer in event["message"]]
    assert f"attempt {transfer} of transfer {transfer}" in receiving.err()
    logs = {node.name: node.logs() for node in (home, receivers, uploads)}
    for node, log in logs.items():
        assert [line for line in log.splitlines() if f"transfer={transfer}" in line], (node, log)
    ended = [line for line in "".join(logs.values()).splitlines() if "transfer ended" in line]
    assert len(ended) == 1 and f"outcome=delivered transfer={transfer}" in ended[0], ended
    assert f"node={receivers.name} transfer={transfer}" in logs[uploads.name]
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
