# SPDX-License-Identifier: Apache-2.0
"""Hostile and unusual HTTP/1.1, row by row, over raw TLS: refused with 4xx or 5xx, and the connection closed."""

import pytest

from harness import raw
from harness.http_vectors import BODIES, HEADS, KEY, UPGRADE, VERSION
from harness.pairs import Pair


@pytest.mark.parametrize(("name", "sent", "allowed"), HEADS, ids=[row[0].replace(" ", "-") for row in HEADS])
def test_a_hostile_head_is_refused_and_the_connection_closed(relay, name, sent, allowed):
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(sent)
        answer = connection.answer(timeout=8)
        status = answer.status if answer else None
        assert status in allowed, f"{status} {answer}"
        if answer:
            assert answer.complete and answer.version == "HTTP/1.1"
            assert connection.how_ended(5) == raw.NOTIFY
            assert connection.buffer == b"", "nothing follows the answer"
        if status == 405 and not sent.startswith((b"TRACE / ", b"CONNECT")):
            assert answer.header("allow"), "405 names the right methods"
        if status == 426:
            assert answer.header("sec-websocket-version") == "13"
        if status and status >= 400:
            assert b"<" not in answer.body and set(answer.body[:1]) <= set(b"{"), "refusals are JSON"


@pytest.mark.parametrize(("name", "body"), BODIES, ids=[row[0].replace(" ", "-") for row in BODIES])
def test_a_hostile_chunked_body_is_refused_and_never_looks_whole(relay, name, body):
    with Pair(relay) as pair:
        _, download, upload = pair.flowing()
        upload.send(body)
        answer = upload.answer(timeout=8, method="PUT")
        assert answer and answer.status == 400, answer
        # The relay listens for 5 s to what may still come, so that no reset eats the answer.
        assert upload.how_ended(15) in (raw.NOTIFY, raw.TRUNCATED)
        head = download.answer(timeout=8)
        # The receiver either hears of the failure, or has a body that is visibly cut.
        assert head is None or head.status >= 500 or not head.complete, head
        assert download.how_ended(5) in (raw.TRUNCATED, raw.RESET) or (head and head.status >= 500)


def test_transfer_encoding_in_a_trailer_changes_nothing(relay):
    with Pair(relay) as pair:
        _, download, upload = pair.flowing()
        upload.send(b"3\r\nabc\r\n0\r\nTransfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\n")
        answer = upload.answer(timeout=8, method="PUT")
        assert answer and answer.status in (200, 400), answer
        upload.how_ended(5)
        got = download.answer(timeout=8)
        if answer.status == 200:
            assert got.status == 200 and got.complete and got.body == b"abc"
            assert got.header("transfer-encoding") == "chunked" and got.header("content-length") is None
        else:
            assert got is None or not got.complete or got.status >= 500


def test_a_content_length_larger_than_what_is_sent_is_a_cut(relay):
    with Pair(relay) as pair:
        _, download, upload = pair.flowing(1000)
        upload.send(b"x" * 500)
        upload.socket.settimeout(5)
        upload.close()
        got = download.answer(timeout=8)
        assert got.status == 200 and got.header("content-length") == "1000"
        assert got.body == b"x" * len(got.body) and not got.complete
        assert download.how_ended(5) in (raw.TRUNCATED, raw.RESET)


def test_bytes_behind_the_content_length_are_not_passed_on(relay):
    with Pair(relay) as pair:
        _, download, upload = pair.flowing(3)
        upload.send(b"abcGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        first = upload.answer(timeout=8, method="PUT")
        assert first.status == 200, first
        assert upload.how_ended(5) != raw.OPEN
        assert upload.buffer == b"", "the second request was answered"
        got = download.answer(timeout=8)
        assert got.complete and got.body == b"abc"
        download.how_ended(5)
        assert download.buffer == b""


def test_a_second_request_on_one_connection_is_not_answered(relay):
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(raw.request("GET", "/healthz") + raw.request("GET", "/healthz"))
        assert connection.answer().status == 200
        assert connection.how_ended(5) == raw.NOTIFY
        assert connection.buffer == b""


def test_a_request_behind_an_upgrade_is_no_request(relay):
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(UPGRADE + KEY + VERSION + b"\r\n" + raw.request("GET", "/healthz"))
        answer = connection.head()
        assert answer and answer.status in (101, 400), answer
        assert connection.how_ended(5) != raw.OPEN
        assert b"HTTP/1.1" not in connection.buffer


def test_a_head_in_single_bytes_is_understood(relay):
    with raw.Connection(relay.address, relay.ca) as connection:
        for byte in raw.request("GET", "/healthz"):
            connection.send(bytes([byte]))
        assert connection.answer().status == 200


def test_healthz_answers_http_1_0_and_head(relay):
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(raw.request("GET", "/healthz", version="HTTP/1.0"))
        assert connection.answer().status == 200
        assert connection.how_ended(5) == raw.NOTIFY
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(raw.request("HEAD", "/healthz"))
        answer = connection.answer(method="HEAD")
        assert answer.status in (200, 405)
        assert connection.how_ended(5) == raw.NOTIFY
        assert connection.buffer == b"", "no body answers a HEAD"


def test_an_absolute_target_of_this_host_is_served(relay):
    with raw.Connection(relay.address, relay.ca) as connection:
        host = f"127.0.0.1:{relay.port}"
        connection.send(raw.request("GET", f"https://{host}/healthz", host=host))
        assert connection.answer().status == 200


def test_the_relay_serves_after_all_vectors(relay):
    relay.healthy()
