# SPDX-License-Identifier: Apache-2.0
"""The hostile requests of test_http_vectors.py through HAProxy and nginx, which end TLS as the recipes have it.

A balancer that is less strict than a relay is a danger only if what it passes on can be read in two ways. So h11 stands
where a relay would, and what passed is given to a relay, too: what the relay takes, h11 reads as one request, and with
the same body.
"""

import contextlib
import sys

import h11
import pytest

from harness import raw
from harness.executables import REPOSITORY, clean_environment
from harness.http_vectors import BODIES, HEADS, UNKNOWN, put
from harness.pairs import Pair
from harness.processes import Process
from harness.processes import shared as sharing
from harness.reader import Reader, Reading
from harness.waiting import until

sys.path.insert(0, str(REPOSITORY / "cluster"))
from runner import system
from runner.recipe import Recipe

TOKEN = b"A" * 43
assert TOKEN in UNKNOWN
#: A balancer waits for more of what looks like a beginning; so long is enough for an answer.
ANSWER_SECONDS = 2
GOOD = [
    ("GET", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b""),
    ("PUT with a length", put(b"Content-Length: 3", body=b"abc"), b"abc"),
    ("PUT in chunks", put(b"Transfer-Encoding: chunked", body=b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), b"abc"),
]


class Front:
    """A balancer by its recipe, with the reader behind it."""

    def __init__(self, name, certs, folder, reader):
        port = system.Port()
        (folder / "certs").mkdir()
        for each in ("ca.pem", "server.pem", "server.key"):
            (folder / "certs" / each).symlink_to(certs.folder / each)
        (folder / "certs/both.pem").write_bytes(certs.chain.read_bytes() + certs.key.read_bytes())
        command = Recipe(name).fill_in(folder, port, [("n1", f"127.0.0.1:{reader.port}")], "localhost")
        self.process = Process(command, env=clean_environment(folder), folder=folder / "logs", name=name)
        self.address, self.ca, self.reader = ("127.0.0.1", port.number), str(certs.ca), reader
        until(self._serves, 20, f"{name} serves")

    def _serves(self):
        assert self.process.running(), self.process.tail()
        with contextlib.suppress(OSError), raw.Connection(self.address, self.ca, timeout=3) as connection:
            connection.send(b"GET /there HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = connection.answer()
            return bool(answer) and answer.status == 200
        return False

    def passed(self, sent):
        """(what the balancer's client was answered: one status each, what was read behind it)."""
        self.reader.taken()
        statuses = []
        with raw.Connection(self.address, self.ca) as connection:
            connection.send(sent)
            with contextlib.suppress(TimeoutError):
                while answer := connection.answer(timeout=ANSWER_SECONDS):
                    statuses.append(answer.status)
        # Where it was cut in the middle, the reader notices when this connection is gone, and is waited for.
        return statuses, self.reader.taken()


@pytest.fixture(scope="module", params=["haproxy-tls", "nginx-tls"])
def front(request, certs, tmp_path_factory):
    """One of the two balancers."""
    with Reader(certs.chain, certs.key) as reader:
        with sharing():
            made = Front(request.param, certs, tmp_path_factory.mktemp(request.param), reader)
        yield made
        made.process.kill()


def relay_takes(relay, sent):
    """(status, body that a receiver got) of a request as it is, if need be with tokens that are valid."""
    if TOKEN not in sent or not sent.startswith(b"PUT "):
        with raw.Connection(relay.address, relay.ca) as connection:
            connection.send(sent)
            answer = connection.answer(timeout=ANSWER_SECONDS)
            connection.how_ended(5)
            assert b"HTTP/1." not in connection.buffer, "a second answer"
            return (answer.status if answer else None), b""
    with Pair(relay) as pair:
        _, download, start = pair.parked()
        upload = pair.connect()
        upload.send(sent.replace(TOKEN, start.token.encode()))
        answer = None
        with contextlib.suppress(TimeoutError):
            answer = upload.answer(timeout=ANSWER_SECONDS, method="PUT")
        upload.close()
        if answer is None or answer.status != 200:
            return (answer.status if answer else None), b""
        got = download.answer(timeout=10)
        return (answer.status if answer else None), got.body if got and got.complete else b""


def agrees(relay, reading):
    """What is wrong with what passed, if anything."""
    if len(reading.requests) > 1 or (reading.requests and reading.rest):
        return f"more than one request passed: {reading}"
    status, body = relay_takes(relay, reading.sent)
    if status is None or status in (400, 405, 408, 411, 414, 417, 421, 426, 431, 501, 505):
        return None  # the relay refuses it, or waits for its end
    if not reading.requests:
        return f"the relay answers {status}, and h11 says: {reading.problem}"
    method, _, read_body = reading.requests[0]
    if method == b"PUT" and status == 200 and body != read_body:
        return f"the receiver got {body!r}, and h11 reads {read_body!r}"
    return None


VECTORS = [(name, sent) for name, sent, _ in HEADS] + [
    (name, put(b"Transfer-Encoding: chunked", body=body)) for name, body in BODIES
]


@pytest.mark.slow
def test_what_a_balancer_lets_through_is_read_in_one_way(relay, front):
    wrong, counts = {}, {"refused": 0, "passed": 0}
    for name, sent in VECTORS:
        statuses, readings = front.passed(sent)
        if len(readings) > 1 or len(statuses) > 1:
            wrong[name] = f"answered {statuses}, {len(readings)} passed"
        counts["passed" if readings else "refused"] += 1
        for reading in readings:
            problem = agrees(relay, reading)
            if problem:
                wrong[name] = problem
    assert not wrong, wrong
    # Or else nothing was shown: about half of them pass either.
    assert min(counts.values()) > 10, counts
    relay.healthy()


@pytest.mark.parametrize(("name", "sent", "body"), GOOD, ids=[row[0].replace(" ", "-") for row in GOOD])
def test_a_good_request_passes_and_is_read_the_same(relay, front, name, sent, body):
    statuses, (reading,) = front.passed(sent)
    assert statuses == [200] and len(reading.requests) == 1 and reading.requests[0][2] == body, reading
    assert agrees(relay, reading) is None
    assert relay_takes(relay, reading.sent) == (200, body)


def test_h11_and_the_relay_would_be_told_apart(relay):
    """The comparison can fail: bytes that h11 takes, and that mean something else to the relay."""
    sent = put(b"Content-Length: 3", body=b"abcd")
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(sent)
    assert isinstance(parser.next_event(), h11.Request)
    assert agrees(relay, Reading(sent=sent, requests=[(b"PUT", b"/upload", b"abcd")]))
    assert agrees(relay, Reading(sent=sent, requests=[(b"PUT", b"/upload", b"abc")], rest=b"d"))
    assert agrees(relay, Reading(sent=put(b"Content-Length: 3", body=b"abc"), problem="refused"))
