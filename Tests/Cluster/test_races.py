# SPDX-License-Identifier: Apache-2.0
"""One token, a thousand requests at the same moment, on two nodes: one of them is let in."""

import concurrent.futures
import contextlib
import select
import ssl
import time

import pytest

from harness import raw
from harness.history import digest_of
from harness.pairs import Pair

RACERS = 1000


def connections(pair, nodes, count):
    """So many connections, on each of the nodes in turn.

    A node closes a connection that sends no request for 10 s. All share one TLS session, so that a busy machine opens
    them within that time.
    """
    first = raw.Connection(nodes[0].address, nodes[0].ca, timeout=pair.timeout, version=ssl.TLSVersion.TLSv1_2)
    pair.connections.append(first)

    def connect(number):
        node = nodes[number % len(nodes)]
        connection = raw.Connection(node.address, node.ca, timeout=pair.timeout, resumes=first)
        pair.connections.append(connection)
        return connection

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(connect, range(count)))
    assert all(each.socket.session_reused for each in made)
    return made


def answered(racer):
    """Whether the head of an answer, or the end, is there. What can be read may be only a session ticket."""
    with contextlib.suppress(TimeoutError):
        racer.receive(time.monotonic())
    return racer.ended or b"\r\n\r\n" in racer.buffer


def race(racers, request, history, token):
    """Sends the request on all connections and returns the one that was let in; all others have to be refused."""
    for racer in racers:
        racer.send(request)
    left, poll = {racer.socket.fileno(): racer for racer in racers}, select.poll()
    for number in left:
        poll.register(number, select.POLLIN)
    deadline, winners, refused = time.monotonic() + 30, [], 0
    while refused < len(racers) - 1 and time.monotonic() < deadline:
        for number, _ in poll.poll(1000):
            racer = left[number]
            if not answered(racer):
                continue
            poll.unregister(number)
            del left[number]
            head = racer.head()
            history.add(f"racer {number}", "claimed", token=digest_of(token), status=head.status if head else None)
            if head and head.status in (100, 200):
                winners.append((racer, head.status))
            else:
                assert head and head.status == 403, head
                refused += 1
    assert refused == len(racers) - 1, f"{refused} were refused"
    # The winner's answer may be one that comes later.
    return winners[0] if winners else (*left.values(), None)


@pytest.mark.slow
@pytest.mark.parametrize("distinct", [False, True], ids=["home", "elsewhere"])
def test_an_upload_token_is_good_once(trial, distinct):
    with trial() as t:
        one, other, third = t.nodes
        with Pair(third if distinct else one, receiver=third, timeout=30) as pair:
            offer, download, start = pair.parked()
            racers = connections(pair, (one, other), RACERS)
            fields = (f"Authorization: Bearer {start.token}", "Content-Length: 4", "Expect: 100-continue")
            winner, status = race(racers, raw.request("PUT", "/upload", *fields), t.history, start.token)
            assert (status or winner.head().status) == 100
            winner.send(b"body")
            assert download.head().status == 200
            download.how_ended()
            assert download.buffer == b"body"
            pair.receiver.delivered(offer.transfer, 4, "0" * 64)


@pytest.mark.slow
def test_a_download_token_is_good_once(trial):
    with trial() as t:
        one, other, third = t.nodes
        with Pair(third, timeout=30) as pair:
            offer, start = pair.accepted()
            racers = connections(pair, (one, other), RACERS)
            request = raw.request("GET", "/download", f"Authorization: Bearer {start.token}")
            winner, status = race(racers, request, t.history, start.token)
            # It gets no answer until the sender is there.
            assert status is None
            upload = pair.connect(one)
            token = offer.start().token
            upload.send(
                raw.request("PUT", "/upload", f"Authorization: Bearer {token}", "Content-Length: 4", body=b"body")
            )
            head = winner.head()
            t.history.add("winner", "claimed", token=digest_of(start.token), status=head.status)
            assert head.status == 200
            winner.how_ended()
            assert winner.buffer == b"body"
            pair.receiver.delivered(offer.transfer, 4, "0" * 64)
