# SPDX-License-Identifier: Apache-2.0
"""Every deadline of the relay, all waited for at the same time: the whole file takes as long as the longest."""

import json
import re
import socket
import struct
import time

import pytest

from harness import metrics, processes, protocol, raw
from harness.pairs import Pair
from harness.relay import Relay
from harness.waiting import background

# Row 2 of the fault table: a sender that brings less than 1 KiB/s over 30 s is dropped within so many seconds.
PROGRESS = 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


class Watch:
    """Seconds since it was made."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self):
        return time.monotonic() - self.began


def plain(relay, *sent, limit):
    """Opens TCP, sends pieces, waits until it is closed; seconds."""
    watch = Watch()
    with socket.create_connection(relay.address, 10) as made:
        for piece in sent:
            made.sendall(piece)
        made.settimeout(limit)
        try:
            while made.recv(4096):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            return None
    return watch()


def silence(relay):
    return plain(relay, limit=20)


def half_hello(relay):
    return plain(relay, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 100, limit=20)


def dripped_hello(relay):
    """A client hello, a byte each second: no step of it is slow, the whole is."""
    watch = Watch()
    with socket.create_connection(relay.address, 10) as made:
        made.settimeout(1)
        for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 20:
            try:
                made.sendall(bytes([byte]))
                if not made.recv(4096):
                    return watch()
            except TimeoutError:
                continue
            except ConnectionError:
                return watch()
    return None


def header(relay, *pieces, pause=0.0, limit=20):
    """Opens TLS and sends pieces of a head; (seconds, status) at the end."""
    with raw.Connection(relay.address, relay.ca, timeout=limit) as connection:
        watch = Watch()
        for piece in pieces:
            if not connection.send(piece):
                break
            if pause:
                try:
                    if not connection.receive(time.monotonic() + pause) or connection.buffer:
                        break
                except TimeoutError:
                    pass
        answer = connection.answer(timeout=limit)
        how = connection.how_ended(5)
        return (None if how == raw.OPEN else watch()), answer and answer.status


def no_request(relay):
    return header(relay)


def half_header(relay):
    return header(relay, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ")


def slow_header(relay):
    return header(relay, b"GET /healthz HTTP/1.1\r\n", *(b"X-%d: y\r\n" % number for number in range(30)), pause=0.7)


def no_login(relay):
    """Opens the control connection and says nothing; (seconds, close code)."""
    session = protocol.Session(relay, protocol.Identity("nobody"))
    watch = Watch()
    code = session.close_code(20)
    return watch(), code


def no_pong(relay):
    """A control connection whose client never answers a ping; seconds until it is closed."""
    with raw.Connection(relay.address, relay.ca, timeout=70) as connection:
        identity = protocol.Identity("silent-one")
        connection.send(raw.upgrade(host=f"127.0.0.1:{relay.port}"))
        assert connection.head().status == 101
        while b'"challenge"' not in connection.buffer:
            connection.receive()
        nonce = re.search(rb'"nonce":"([^"]+)"', connection.buffer).group(1).decode()
        credentials = identity.credentials("register", f"127.0.0.1:{relay.port}", nonce)
        text = json.dumps({"type": "register", "id": "c1", "credentials": credentials}).encode()
        connection.send(bytes([0x81, 0x80 | 126]) + struct.pack(">H", len(text)) + bytes(4) + text)
        while b'"welcome"' not in connection.buffer:
            connection.receive()
        watch = Watch()
        while (4408).to_bytes(2, "big") not in connection.buffer and connection.receive():
            pass
        told = watch()
        how = connection.how_ended(10)
        return told, how, connection.buffer


def answered_pings(relay):
    """A control connection that answers pings and does nothing else is still there after 65 s."""
    with relay.session("patient") as session:
        time.sleep(65)
        return session.ask("ping")["type"]


def expired_download_token(relay):
    """A token used 61.5 s after it was made; the answer, and an unknown one's."""
    with Pair(relay, timeout=20) as pair:
        offer, start = pair.accepted()
        watch = Watch()
        failure = background(offer.start, 75).exception(75)
        failed_after = watch()
        time.sleep(max(0, 61.5 - watch()))
        answers = []
        for token in (start.token, protocol.b64(b"\x07" * 32)):
            connection = pair.connect()
            connection.send(raw.request("GET", "/download", f"Authorization: Bearer {token}"))
            answers.append(connection.answer())
        return failure, failed_after, answers


def no_sender(relay):
    """A parked download whose sender has its token and never comes; (answer, seconds, what the receiver hears)."""
    with Pair(relay, timeout=80) as pair:
        offer, download, start = pair.parked()
        watch = Watch()
        answer = download.answer(timeout=80)
        took = watch()
        failed = pair.receiver.failed(offer.transfer, 10)
        late = pair.connect()
        late.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 0"))
        return answer, took, failed, late.answer()


def stalled_receiver(relay):
    """A receiver that stops reading; (seconds, the sender's answer, how the download ended, what each side hears)."""
    with Pair(relay, timeout=90) as pair:
        offer, _, upload = pair.flowing(1 << 30)
        upload.socket.settimeout(3)
        try:
            while True:
                upload.socket.send(bytes(65_536))
        except TimeoutError:
            pass
        watch = Watch()
        upload.timeout = 90
        answer = upload.answer(timeout=80, method="PUT")
        took = watch()
        return took, answer, pair.receiver.failed(offer.transfer, 5), background(offer.delivered, 5).exception(10)


def silent_sender(relay):
    """A sender that stops in the middle; (seconds, the receiver's end, what the sender is answered and hears)."""
    with Pair(relay, timeout=90) as pair:
        offer, download, upload = pair.flowing(1_000_000)
        upload.send(b"x" * 1000)
        watch = Watch()
        how = download.how_ended(80)
        took = watch()
        answer = upload.answer(timeout=5, method="PUT")
        return took, how, answer, background(offer.delivered, 5).exception(10)


def dripping_sender(relay):
    """A sender with a byte every other second."""
    with Pair(relay, timeout=90) as pair:
        _, download, upload = pair.flowing(1_000_000)
        ending = background(download.how_ended, 80)
        watch = Watch()
        while not ending.done() and upload.send(b"x"):
            time.sleep(2)
        return ending.result(80), watch()


SCENARIOS = {
    function.__name__: function
    for function in (
        silence,
        half_hello,
        dripped_hello,
        no_request,
        half_header,
        slow_header,
        no_login,
        no_pong,
        answered_pings,
        expired_download_token,
        no_sender,
        stalled_receiver,
        silent_sender,
        dripping_sender,
    )
}


@pytest.fixture(scope="module")
def timed(binaries, certs, tmp_path_factory):
    """The relay of all scenarios."""
    arguments = ["--metrics-listen", "127.0.0.1:0"]
    with processes.shared():
        relay = Relay(
            binaries, certs, tmp_path_factory.mktemp("timers"), registration="open", arguments=arguments
        ).start()
    yield relay
    relay.stop()


@pytest.fixture(scope="module")
def outcome(timed):
    """Starts every scenario at once; `outcome(name)` waits for one."""
    relay = timed
    running = {name: background(function, relay) for name, function in SCENARIOS.items()}
    yield lambda name: running[name].result(120)
    # A worker that runs some of the tests only has scenarios left; a stop would wait for their transfers.
    for each in running.values():
        each.exception(120)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silence", "half_hello", "dripped_hello"])
def test_an_incomplete_handshake_is_closed_within_10_s(outcome, name):
    took = outcome(name)
    assert took is not None and took <= 11, took


@pytest.mark.parametrize("name", ["no_request", "half_header", "slow_header"])
def test_an_incomplete_head_is_closed_within_10_s(outcome, name):
    took, status = outcome(name)
    assert took is not None and took <= 11, took
    assert status in (None, 408), status


def test_no_login_in_10_s_closes_with_4401(outcome):
    took, code = outcome("no_login")
    assert code == 4401 and 8 <= took <= 12, (took, code)


@pytest.mark.slow
def test_a_client_without_pongs_is_closed_within_45_s(outcome):
    told, how, buffer = outcome("no_pong")
    assert (4408).to_bytes(2, "big") in buffer, "the close code is 4408"
    assert 30 <= told <= 46, told
    assert how != raw.OPEN, "it is closed also when the close is not answered"


@pytest.mark.slow
def test_a_client_that_answers_pings_stays(outcome):
    assert outcome("answered_pings") == "pong"


def test_an_expired_token_is_refused_like_an_unknown_one(outcome):
    failure, failed_after, (expired, unknown) = outcome("expired_download_token")
    assert expired.status == unknown.status == 403
    assert expired.body == unknown.body
    assert [each for each in expired.headers if each[0] != "date"] == [
        each for each in unknown.headers if each[0] != "date"
    ]
    assert isinstance(failure, protocol.Failed) and failure.code == "expired", failure
    assert 55 <= failed_after <= 66, failed_after


def test_a_download_whose_sender_never_comes_gets_504(outcome):
    answer, took, failed, late = outcome("no_sender")
    assert answer is not None and answer.status == 504 and b'"expired"' in answer.body, answer
    assert 25 <= took <= 36, took
    assert failed["code"] == "expired" and failed["by"] == "relay", failed
    assert late.status == 403, late


def test_a_stalled_receiver_is_aborted_at_60_s_and_both_sides_told(outcome):
    took, answer, receiver, sender = outcome("stalled_receiver")
    assert 50 <= took <= 66, took
    assert answer is not None and answer.status == 504 and b"stalled" in answer.body, answer
    assert receiver["code"] == "stalled", receiver
    assert isinstance(sender, protocol.Failed) and sender.code == "stalled", sender


def test_a_silent_sender_is_aborted_and_both_sides_told(outcome):
    took, how, answer, sender = outcome("silent_sender")
    assert took <= PROGRESS, took
    assert how in (raw.TRUNCATED, raw.RESET), how
    assert answer is None or answer.status == 504, answer
    assert isinstance(sender, protocol.Failed) and sender.code == "stalled", sender


def test_a_dripping_sender_is_aborted(outcome):
    how, took = outcome("dripping_sender")
    assert how in (raw.TRUNCATED, raw.RESET), (how, took)
    assert took <= PROGRESS, took


def test_streams_that_stood_still_are_counted(outcome, timed):
    for name in ("stalled_receiver", "silent_sender", "dripping_sender"):
        outcome(name)
    page = metrics.scrape(metrics.port_of(timed))
    assert page['relay_streams_cut_total{code="stalled"}'] >= 3, page
    assert page['relay_transfers_failed_total{code="stalled"}'] >= 3, page
    # Timers are looked at four times a second, on each event loop.
    assert page["relay_event_loop_lag_seconds_count"] > 100
