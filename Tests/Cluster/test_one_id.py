# SPDX-License-Identifier: Apache-2.0
"""One id finds every line about a transfer: on each node that has a part in it, and at both clients."""

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
