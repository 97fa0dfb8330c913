# SPDX-License-Identifier: Apache-2.0
"""What a transfer between two nodes puts into Redis and the metrics: no secrets, and nothing longer than needed."""

from harness import metrics, protocol, raw
from harness.pairs import Pair, wait_for_bytes
from harness.protocol import b64
from harness.redis import Redis, token_key
from harness.waiting import until

CANARY = "canary-5b1d0e9c"


def figures(cluster):
    """What all nodes say on their metrics listeners."""
    urls = cluster.variables["RELAY_METRICS_URLS"].split()
    return "\n".join(metrics.ask(int(url.rpartition(":")[2].partition("/")[0]), "/metrics")[2] for url in urls)


def found(secrets, text):
    """Where a secret is, by the lines."""
    return [line[:300] for line in text.splitlines() if any(secret in line for secret in secrets)]


def test_no_secret_is_in_redis_nor_in_the_metrics(three):
    home, ring, third = three.members()
    secrets, seen, told = {CANARY, b64(CANARY.encode())}, [], []

    def secret(text):
        secrets.add(text)
        return text

    with Redis(three.redis_url) as redis:

        def look():
            seen.append(redis.contents())
            told.append(figures(three))

        with redis.commands() as commands:
            code = secret(home.invite())
            ring.session("carol", invitation=code).close()
            with Pair(home, receiver=ring, upload=third) as pair:
                names = [session.identity.name for session in (pair.sender, pair.receiver)]
                manifest = secret(protocol.pack(v=0, name=f"{CANARY}.pdf"))
                offer = pair.sender.offer(names[1], manifest)
                assert pair.receiver.ring()["payload"] == manifest
                look()
                start = pair.receiver.accept(offer.transfer, secret(protocol.pack(v=0, offset=0, note=CANARY)))
                tokens = [secret(start.token)]
                look()
                # The receiver's token is shown at a node that does not know it, so that its home is looked up.
                download = pair.connect(third)
                download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
                tokens.append(secret(offer.start().token))
                look()
                upload = pair.connect(ring)
                fields = (f"Authorization: Bearer {tokens[1]}", f"Content-Length: {2 * len(CANARY)}")
                upload.send(raw.request("PUT", "/upload", *fields, body=CANARY.encode()))
                assert download.head().status == 200
                wait_for_bytes(download, len(CANARY))
                look()
                upload.send(CANARY.encode())
                assert upload.answer(method="PUT").status == 200
                assert download.how_ended() == raw.NOTIFY and download.buffer == CANARY.encode() * 2
                digest = secret(b64(CANARY.encode() * 2))
                pair.receiver.delivered(offer.transfer, 2 * len(CANARY), digest)
                assert offer.delivered(10)["sha256"] == digest
                look()
        given = "\n".join(line.decode() for line in commands.seen)
    # Whatever could hide a secret would hide this, too.
    for token in tokens:
        assert token_key(token) in given, "a token is known by its digest"
    assert any(token_key(tokens[0]) in text for text in seen)
    assert all(f"{{relay}}:user:{name}" in seen[0] for name in names)
    assert found(secrets, given) == []
    assert found(secrets, "\n".join(seen)) == []
    assert all("relay_sessions" in text for text in told)
    assert found({*secrets, *names, *map(token_key, tokens)}, "\n".join(told)) == []
    assert found(secrets, three.logs()) == []


def test_a_route_to_a_token_goes_when_it_is_used(three):
    home, ring, third = three.members()
    with Redis(three.redis_url) as redis, Pair(home, receiver=ring, upload=third) as pair:
        until(lambda: not redis.keys("{relay}:token:*"), 5, "nothing of the other tests is left")
        offer, start = pair.accepted()
        # Made once, by the home, and known to all before the receiver knows it.
        assert redis.keys("{relay}:token:*") == [token_key(start.token)]
        pair.sender.cancel(offer.transfer)
        pair.whole()
        until(
            lambda: not redis.keys("{relay}:token:*"),
            5,
            lambda: f"no token is left: {redis.keys('{relay}:token:*')}",
            step=0.1,
        )
