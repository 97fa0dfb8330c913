# SPDX-License-Identifier: Apache-2.0
"""Redis lies: old routes are restored, new ones and users are forged. No node acts on it, and no data leaves."""

import hashlib
import json
import ssl

import pytest

from harness import protocol, raw
from harness.listener import Listener
from harness.nodes import Nodes
from harness.pairs import Pair
from harness.protocol import b64
from harness.redis import Redis, token_key, wait_until_gone
from harness.relay import unique
from harness.trial import whole, works
from harness.waiting import until


@pytest.mark.long
def test_old_routes_restored_from_a_dump_are_not_acted_on(trial):
    with trial() as t:
        home, ring, third = t.nodes
        bob = protocol.Identity("bob-of-old")
        old = third.session(identity=bob, receiving=True)
        with Pair(home, receiver=third) as pair:
            _, unused = pair.accepted()
            dump = t.redis.dump()
            assert any(key.startswith(f"{{relay}}:receiving:{bob.name}:") for key in dump), sorted(dump)
            incarnation = t.kill(third)
        third.restart()
        wait_until_gone(t.redis, third.name, incarnation)
        old.close()
        with ring.session(identity=bob, receiving=True) as session, home.session("alice") as alice:
            t.fault("restored", f"{len(dump)} keys")
            t.redis.restore(dump)
            # They live again, and for as long as if the node had died now.
            t.history.add("test", "lost", node=third.name, incarnation=incarnation)
            # bob is where he is: he is rung there, once, and not on the old node.
            offer = alice.offer(bob.name, protocol.pack(v=0, name="file"), wait=False)
            assert session.ring()["transfer"] == offer.transfer
            assert session.accept(offer.transfer).role == "download"
            session.cancel(offer.transfer)
            with raw.Connection(ring.address, ring.ca) as connection:
                assert t.claim("old", connection, unused, "GET") == 403
        # The dead incarnation's keys go, and the living one is back in its place.
        wait_until_gone(t.redis, third.name, incarnation, 20)
        until(lambda: t.redis.incarnation(third.name) not in (None, incarnation), 15, "the node's presence is its own")
        whole(home, third, 1 << 20)
        whole(third, home, 1 << 20)


class Trap:
    """A listener that a forged route leads to: with TLS and a certificate that is not of that name, or without.

    `heard` is what came through TLS: it has to stay empty. `asked` counts connections.
    """

    def __init__(self, certs=None):
        self.asked, self.heard = 0, b""
        self._context = None
        if certs:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certs.chain, certs.key)
        self._listener = Listener(self._serve)
        self.address = f"{self._listener.host}:{self._listener.port}"

    def _serve(self, plain):
        self.asked += 1
        try:
            plain.settimeout(10)
            connection = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            with connection:
                while piece := connection.recv(4096):
                    # Without TLS a ClientHello is all that may come: it holds no user data.
                    if self._context or piece[:1] != b"\x16":
                        self.heard += piece
        except OSError:
            plain.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


def refused(nodes):
    """How many certificates of would-be nodes were refused, all in all."""
    return sum(node.status()["cluster"]["refused"] for node in nodes)


@pytest.mark.slow
@pytest.mark.parametrize("with_tls", [True, pytest.param(False, marks=pytest.mark.long)], ids=["tls", "plain"])
def test_a_forged_route_leads_nowhere(trial, with_tls):
    with trial() as t, Trap(t.cluster.certs if with_tls else None) as trap:
        home, ring, _ = t.nodes
        incarnation = b64(bytes(16))
        t.fault("forged", "a node, routes, tokens")
        with Pair(home, receiver=ring) as pair:
            bob = pair.receiver.identity.name
            presence = json.dumps({"incarnation": incarnation, "address": trap.address, "version": "0.1.0"})
            t.redis("SET", "{relay}:node:evil", presence, "PX", 60_000)
            t.redis("SADD", "{relay}:nodes", "evil")
            t.redis("SET", f"{{relay}}:receiving:{bob}:evil", f"{incarnation} 1,2,3", "PX", 60_000)
            # An offer goes to the one who is there, and the route to elsewhere is tried in vain.
            offer, start = pair.accepted()
            # A token whose home is said to be there is not shown there.
            t.redis("SET", token_key(start.token), f"evil {incarnation}", "PX", 60_000)
            with raw.Connection(ring.address, ring.ca) as download:
                assert t.claim("bob", download, start, "GET") in (403, 503)
            pair.sender.cancel(offer.transfer)
            until(lambda: trap.asked > 0, 15, "a node has connected to the trap")
            if with_tls:
                until(lambda: refused(t.nodes) > 0, 10, "the wrong certificate is counted", step=0.1)
        # What is nonsense is passed over.
        for value in ("", "evil", "\0" * 100, "x" * 100_000, '{"incarnation":', "evil " * 9):
            for key in (
                f"{{relay}}:receiving:{bob}:n2",
                "{relay}:node:other",
                "{relay}:epoch",
                "{relay}:waiting:x:n1",
                "{relay}:nodes:",
            ):
                t.redis("SET", key, value, "PX", 3_000)
        # Not even the epoch was to be trusted; who is new has to wait until that is settled.
        until(lambda: works(home, ring), 15, "a transfer between two nodes", step=0.1)
        whole(ring, home, 1 << 20)
        assert trap.heard == b"", trap.heard[:200]
        for name in ("evil", "other"):
            t.redis("DEL", f"{{relay}}:node:{name}")
        until(lambda: all(node.status() for node in t.nodes), 5, "all nodes are there")


def test_a_peer_without_a_certificate_of_the_cluster_is_refused(three):
    """Redis can name a wrong port: a certificate of the same authority is not enough, it must name the node."""
    home, ring, _ = three.members()
    before = refused(three.members())
    with Pair(home, receiver=ring) as pair:
        with Redis(three.redis_url) as redis:
            presence = json.loads(redis("GET", f"{{relay}}:node:{home.name}"))
            # "evil" is said to be where n1 is: n1 answers there, with its own certificate.
            redis("SET", "{relay}:node:evil", json.dumps(presence | {"incarnation": b64(bytes(16))}), "PX", 20_000)
            redis("SADD", "{relay}:nodes", "evil")
            redis("SET", f"{{relay}}:receiving:{pair.receiver.identity.name}:evil", f"{b64(bytes(16))} 1", "PX", 20_000)
            offer, _ = pair.accepted()
            pair.sender.cancel(offer.transfer)
            until(lambda: refused(three.members()) > before, 10, "the certificate of another node is refused", step=0.1)
            redis("DEL", "{relay}:node:evil")
        whole(ring, home, 65_536)


def forged(redis, victim, mallory):
    """What a client without the cluster's secret can put under a name, for a key of its own."""
    genuine = json.loads(redis("GET", f"{{relay}}:user:{victim.name}"))
    own = redis("GET", f"{{relay}}:user:{mallory.name}").decode()
    keys = {"key": mallory.key}
    yield json.dumps(keys, separators=(",", ":"))
    yield json.dumps({**genuine, **keys}, separators=(",", ":"), sort_keys=True)
    # A node has made this one: for another name.
    yield own
    yield json.dumps({**json.loads(own), "mac": genuine["mac"]}, separators=(",", ":"), sort_keys=True)


def test_a_forged_user_is_believed_by_no_node(three):
    knowing, other, _ = three.members()
    with Redis(three.redis_url) as redis, knowing.session("alice") as alice, other.session("mallory") as session:
        mallory = session.identity
        bob = protocol.Identity(unique("bob"))
        published = bob.publish()
        knowing.session(identity=bob).close()
        key = f"{{relay}}:user:{bob.name}"
        genuine = redis("GET", key)
        # The same person as mallory, under bob's name.
        impostor = protocol.Identity(bob.name)
        impostor.signing = mallory.signing
        impostor.publish()
        before = three_forged(three)
        for record in forged(redis, bob, mallory):
            for node, verb in ((other, "login"), (other, "register"), (knowing, "login"), (knowing, "register")):
                redis("SET", key, record)
                with protocol.Session(node, impostor) as connection, pytest.raises(protocol.Refused) as refused:
                    connection.login(verb)
                assert refused.value.code in ("login_refused", "name_taken", "cluster_unavailable"), (record, verb)
            redis("SET", key, record)
            peer = alice.lookup(bob.name)
            assert (peer["key"], peer["prekey"]) == (bob.key, published), "the node goes on with what it knows"
            until(lambda: redis("GET", key) == genuine, 5, "and puts it right", step=0.1)
        assert three_forged(three) > before
        # The one whose name it is comes in everywhere.
        for node in (knowing, other):
            protocol.Session(node, bob).login().close()


def three_forged(cluster):
    """How many records of users were found to be forged, all in all."""
    return sum(node.status()["cluster"]["forged"] for node in cluster.members())


def test_a_node_that_knows_no_user_lets_no_forged_one_in_and_gives_no_name_away(binaries, tmp_path):
    nodes = Nodes(binaries, tmp_path, ["n1"])
    with nodes.start_redis() as redis:
        node = nodes.start("n1")
        bob = protocol.Identity(unique("bob"))
        node.session(identity=bob).close()
        with node.session("mallory") as session:
            mallory = session.identity
        impostor = protocol.Identity(bob.name)
        impostor.signing = mallory.signing
        key = f"{{relay}}:user:{bob.name}"
        genuine, records = redis("GET", key), list(forged(redis, bob, mallory))
        node.stop()
        node.start()
        for record in records:
            redis("SET", key, record)
            for verb in ("login", "register"):
                with protocol.Session(node, impostor) as connection, pytest.raises(protocol.Refused) as refused:
                    connection.login(verb)
                assert refused.value.code in ("cluster_unavailable", "name_taken"), (record, verb)
                assert redis("GET", key).decode() == record
        assert node.status()["cluster"]["forged"] > 0
        assert any("forged" in line and bob.name in line for line in node.logs().splitlines())
        redis("SET", key, genuine)
        protocol.Session(node, bob).login().close()


def test_a_forged_invitation_is_none(binaries, tmp_path):
    nodes = Nodes(binaries, tmp_path, ["n1"])
    with nodes.start_redis() as redis:
        node = nodes.start("n1", registration="invite")
        carol = protocol.Identity(unique("carol"))
        code = node.invite(carol.name)
        (digest,) = redis.keys("{relay}:invitation:*")
        genuine = redis("GET", digest)
        made_up = "made-up-by-mallory"
        place = "{relay}:invitation:" + b64(hashlib.sha256(made_up.encode()).digest())
        mallory = protocol.Identity(unique("mallory"))
        for value in (b"", mallory.name.encode(), genuine, genuine.replace(carol.name.encode(), b"")):
            redis("SET", place, value)
            # Nor is one for carol good for another.
            for each in (made_up, code):
                with protocol.Session(node, mallory) as session, pytest.raises(protocol.Refused) as refused:
                    session.login("register", each)
                assert refused.value.code == "bad_invitation", value
        node.session(identity=carol, invitation=code).close()
