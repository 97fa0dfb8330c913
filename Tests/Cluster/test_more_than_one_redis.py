# SPDX-License-Identifier: Apache-2.0
"""Sentinels and Redis Clusters of real processes: a failover, a lost master, a slot that moves, while transfers run."""

import contextlib
import os
import re
import time

import pytest

from harness import protocol, valkey
from harness.pairs import Pair, Stream
from harness.redis import RedisError
from harness.redis_groups import RedisCluster, Sentinels, reserved
from harness.trial import outcome, works
from harness.waiting import until

# Seconds within which full service is back once there is a master.
BACK = 5


@pytest.fixture(params=["redis", "valkey"])
def program(request):
    """What is run as Redis: what RELAY_REDIS_SERVER names, and Valkey."""
    if request.param == "redis":
        return os.environ.get("RELAY_REDIS_SERVER", "redis-server")
    found = valkey.server()
    assert found, "requirements.txt brings a valkey-server"
    return found


@pytest.fixture
def sentinels(program, tmp_path):
    """A master, a replica and three Sentinels."""
    with Sentinels(program, tmp_path / "sentinels") as group:
        yield group


@pytest.fixture
def redis_cluster(program, tmp_path):
    """Three masters; with `replicas=1`, each with a replica."""
    made = []

    def make(replicas=0):
        made.append(RedisCluster(program, tmp_path / "redis-cluster", replicas).__enter__())
        return made[-1]

    yield make
    for each in made:
        each.__exit__(None, None, None)


def known(node, session):
    """A user of another node logs in at this one; it may have to wait, and is never unknown."""

    def knows():
        try:
            with protocol.Session(node, session.identity) as again:
                return again.login("login")
        except protocol.Refused as refused:
            assert refused.code == "cluster_unavailable", refused
            return None

    until(knows, BACK, f"{session.identity.name} is known", step=0.1)


def nodes_of(cluster, url):
    """Three nodes with that Redis."""
    made = cluster("--redis", url)
    return made, made.members()


def test_valkey_by_itself(cluster, program):
    made = cluster("--nodes", "2", env={"RELAY_REDIS_SERVER": program})
    home, ring = made.members()
    until(lambda: works(home, ring), 10, "transfers between nodes")
    product = "Valkey" if "valkey" in program else "Redis"
    assert re.search(rf"redis is reachable.*version=.?{product} ", made.logs()), made.logs()


def is_master_again(sentinels):
    """Whether the first is the master, and the second its replica. It is asked for again where it came to nothing: one
    Sentinel alone begins it, and another that has not heard of it in time puts the old master back."""
    roles = sentinels.first.role(), sentinels.second.role()
    if roles == ("slave", "master"):
        with contextlib.suppress(RedisError):
            sentinels.sentinels[0].redis("SENTINEL", "FAILOVER", "main")
    return roles == ("master", "slave")


@pytest.mark.slow
def test_a_failover_by_sentinels(cluster, sentinels):
    made, (home, ring, third) = nodes_of(cluster, sentinels.url)
    with Pair(home, receiver=ring, upload=third, timeout=30) as running, Pair(home, receiver=ring) as asking:
        stream = Stream(running)
        stream.go_on()
        sentinels.first.kill()
        # What runs does not need it; what needs it is refused in words.
        assert outcome(asking) == "cluster_unavailable"
        stream.go_on()
        until(lambda: sentinels.second.role() == "master", 30, "the replica is the master")
        began = time.monotonic()
        until(lambda: outcome(asking) is None, BACK, "transfers between nodes", step=0.1)
        assert time.monotonic() - began < BACK
        # The users are still there: both names belong to the same keys, on a node that has not seen them.
        for session in (running.sender, running.receiver):
            known(third, session)
        until(lambda: works(ring, third), 10, "a transfer between new names", step=0.1)
        stream.end()
    # The old master comes back, as a replica, and is made the master again while all live.
    sentinels.first.start()
    until(lambda: sentinels.first.role() == "slave", 30, "the old master is a replica")
    until(lambda: is_master_again(sentinels), 60, "it is the master", step=0.5)
    until(lambda: works(home, third), BACK + 5, "transfers between nodes", step=0.1)
    addresses = set(re.findall(r"redis is reachable.*?redis=(\S+)", made.logs()))
    assert {f"127.0.0.1:{each.port}" for each in (sentinels.first, sentinels.second)} <= addresses, addresses


def test_one_sentinel_less_costs_nothing(cluster, sentinels):
    sentinels.sentinels[0].kill()
    began = time.monotonic()
    _, (home, ring, _) = nodes_of(cluster, sentinels.url)
    assert works(home, ring)
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_what_is_wrong_with_sentinels_is_said(cluster, sentinels, binaries):
    with pytest.raises(AssertionError, match="no master called other"):
        cluster("--nodes", "1", "--redis", sentinels.url.replace("/main", "/other"))
    with pytest.raises(AssertionError, match="this is a Sentinel and no Redis"):
        cluster("--nodes", "1", "--redis", f"redis://127.0.0.1:{sentinels.sentinels[0].port}")
    # No Sentinel there: the node starts, serves alone, and says what it waits for.
    with reserved() as free:
        port = free.getsockname()[1]
        made = cluster("--nodes", "1", "--redis", f"redis+sentinel://127.0.0.1:{port}/main")
        assert re.search(r"redis is not reachable; trying again.*no Sentinel answers", made.logs()), made.logs()
        assert len(re.findall("redis is not reachable", made.logs())) < 20


@pytest.mark.slow
def test_a_redis_cluster_of_three_masters(cluster, redis_cluster):
    group = redis_cluster()
    _, (home, ring, third) = nodes_of(cluster, group.url)
    owner, (other, _) = group.owner(), group.others()
    until(lambda: works(home, ring), 10, "a transfer between nodes", step=0.1)
    # All of it is in one place.
    assert owner.redis("DBSIZE") > 0 and not any(each.redis("DBSIZE") for each in group.others())
    assert len(owner.redis("PUBSUB", "SHARDCHANNELS")) == 3
    # A master that has nothing of it may die.
    other.kill()
    until(lambda: works(ring, third), 10, "transfers between nodes", step=0.1)
    with Pair(home, receiver=ring, upload=third, timeout=30) as running, Pair(home, receiver=ring) as asking:
        stream = Stream(running)
        stream.go_on()
        # The one that has all of it, and no replica: in words, within two seconds, and what runs goes on.
        owner.kill()
        for _ in range(3):
            began = time.monotonic()
            assert outcome(asking) == "cluster_unavailable"
            assert time.monotonic() - began < 3
        stream.go_on()
        # It is back, and empty.
        owner.start()
        until(lambda: owner.redis("CLUSTER", "INFO").startswith(b"cluster_state:ok"), 30, "the cluster serves the slot")
        until(lambda: outcome(asking) is None, BACK, "transfers between nodes", step=0.1)
        stream.end()
    until(lambda: works(third, home), 10, "a transfer between new names", step=0.1)


@pytest.mark.slow
def test_a_replica_in_a_redis_cluster_takes_over(cluster, redis_cluster):
    group = redis_cluster(replicas=1)
    # One node of it is enough to find the others.
    owner = group.owner()
    _, (home, ring, third) = nodes_of(cluster, f"redis://127.0.0.1:{owner.port}")
    with Pair(home, receiver=ring, upload=third, timeout=30) as running, Pair(home, receiver=ring) as asking:
        stream = Stream(running)
        stream.go_on()
        owner.kill()
        until(lambda: any(each.role() == "master" for each in group.servers[3:]), 30, "a replica is a master")
        until(lambda: outcome(asking) is None, BACK, "transfers between nodes", step=0.1)
        for session in (running.sender, running.receiver):
            known(third, session)
        stream.end()
    until(lambda: works(home, third), 10, "a transfer between new names", step=0.1)


@pytest.mark.slow
def test_the_slot_moves_while_transfers_run(cluster, redis_cluster):
    group = redis_cluster()
    made, (home, ring, third) = nodes_of(cluster, group.url)
    source, (target, _) = group.owner(), group.others()
    with Pair(home, receiver=ring, upload=third, timeout=30) as running, Pair(home, receiver=ring) as asking:
        stream = Stream(running)
        for _ in range(3):
            stream.go_on()
            assert group.move_slot(source, target) > 5
            source, target = target, source
            # No receiver is found missing; at most it takes a moment longer.
            assert outcome(asking) in (None, "cluster_unavailable")
            until(lambda: outcome(asking) is None, BACK, "transfers between nodes", step=0.1)
        # Slowly: for seconds, a part of it is here and a part of it there. No name is unknown, no receiver absent.
        group.move_slot(source, target, pause=0.1)
        for session in (running.sender, running.receiver):
            known(third, session)
        until(lambda: outcome(asking) is None, BACK, "transfers between nodes", step=0.1)
        stream.end()
    assert works(third, home)
    assert "is gone" not in made.logs()
