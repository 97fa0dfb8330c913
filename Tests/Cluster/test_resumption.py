# SPDX-License-Identifier: Apache-2.0
"""A TLS session that was begun on one node goes on at another, as openssl's own client sees it."""

import pytest

from harness.hellos import Hellos
from harness.nodes import Nodes
from harness.openssl import ask
from harness.trial import whole
from harness.waiting import until


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_of_one_node_is_resumed_on_the_others(three, tmp_path, version):
    one, *others = three.members()
    kept = tmp_path / "session.pem"
    # Nodes share their keys as soon as they have Redis; until then a session is only good where it was made.
    for other in others:

        def resumed(other=other):
            assert "New, TLS" in ask(one, version, "-sess_out", kept)
            return "Reused, TLS" in ask(other, version, "-sess_in", kept)

        until(resumed, 15, f"a session of {one.name} is resumed on {other.name}")
    # The way back, and through the balancer, wherever that leads.
    assert "New, TLS" in ask(others[-1], version, "-sess_out", kept)
    assert "Reused, TLS" in ask(one, version, "-sess_in", kept)
    for _ in others:
        assert "Reused, TLS" in ask(three, version, "-sess_in", kept)


def test_a_session_goes_on_after_its_node_was_restarted(cluster, tmp_path):
    made = cluster("--nodes", "2")
    one, other = made.members()
    kept = tmp_path / "session.pem"
    until(
        lambda: ask(one, "-sess_out", kept) and "Reused, TLS" in ask(other, "-sess_in", kept),
        15,
        "keys are shared",
    )
    one.restart()
    until(lambda: "Reused, TLS" in ask(one, "-sess_in", kept), 15, "the new process has the keys of the old one")


def test_a_node_resumes_its_session_with_another_node(binaries, tmp_path):
    nodes = Nodes(binaries, tmp_path / "nodes", ("n1", "n2"))
    redis = nodes.start_redis()
    with Hellos((Hellos.host, 0)) as watch:
        one = nodes.start("n1")
        other = nodes.start("n2", environment={"RELAY_NODE_ADVERTISE": f"{watch.host}:{watch.port}"})
        host, _, port = other.link.rpartition(":")
        watch.target = (host, int(port))
        until(lambda: redis.incarnation("n1") and redis.incarnation("n2"), 10, "both are announced")
        for _ in range(4):
            whole(one, other, 65_536)
        # The link, which stays, and the streams; the first connection of all has nothing to go on with.
        resumed = watch.resumed()
        assert len(resumed) >= 3 and not resumed[0] and all(resumed[2:]), resumed
    redis.close()
