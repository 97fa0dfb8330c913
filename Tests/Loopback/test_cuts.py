# SPDX-License-Identifier: Apache-2.0
"""A party dies, stops or gives up in the middle: its peer knows at once, and no half file looks whole."""

import json
import os
import signal
import socket
import threading
import time

import pytest

from harness import content, measure, protocol, raw, sealed
from harness.pairs import Pair, wait_for_bytes
from harness.sealed_tree import Tree
from harness.waiting import background, settled, until

# A hole would not be sent: it is all content.
SIZE = 768 * content.MiB


def halfway(alice, bob, large, *, receive=(), send=()):
    """Starts a transfer of a large file and returns (sending, receiving) when some of it has arrived."""
    content.file(large / "film.mkv", "film", SIZE)
    (large / "inbox").mkdir()
    receiving = bob.receive(*receive, output=large / "inbox")
    sending = alice.send(bob, *send, large / "film.mkv")
    until(lambda: content.largest(large / "inbox") >= SIZE // 32, 60, "a good part of the file")
    assert sending.running() and receiving.running()
    return sending, receiving


def one_second_after(kill, process):
    """Runs `kill`, then waits for the end of `process` as long as the contract allows; its exit status and the time."""
    began = time.monotonic()
    kill()
    return process.wait(1.0), time.monotonic() - began


def halves_by_the_byte(alice, bob, size=100_000_000):
    """As `halfway`, but exactly: standard input stops at half. (sending, receiving, the pipe's end)."""
    receiving = bob.receive()
    read, write = os.pipe()
    sending = alice.send(bob, "-", stdin=read)
    os.close(read)
    background(lambda: [os.write(write, bytes(1_000_000)) for _ in range(size // 2_000_000)])
    until(lambda: content.largest(bob.inbox) >= size // 2 - 65_536 * 16, 30, "half of it")
    return sending, receiving, write


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_receiver_fails_within_a_second_when_its_sender_ends_midway(people, large, how):
    alice, bob = people("alice", "bob")
    sending, receiving = halfway(alice, bob, large)
    status, _ = one_second_after(lambda: sending.signal(how), receiving)
    assert status not in (0, None) and status > 0, receiving.tail()
    assert not (large / "inbox" / "film.mkv").exists()
    assert sending.wait(2) != 0
    assert len(receiving.err().strip().splitlines()) <= 12, receiving.err()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_sender_fails_within_a_second_when_its_receiver_ends_midway(people, large, how):
    alice, bob = people("alice", "bob")
    sending, receiving = halfway(alice, bob, large)
    status, _ = one_second_after(lambda: receiving.signal(how), sending)
    assert status not in (0, None) and status > 0, sending.tail()
    assert "delivered" not in sending.out(), sending.out()
    assert receiving.wait(2) != 0
    assert not (large / "inbox" / "film.mkv").exists()


def test_a_receiver_learns_at_once_that_a_sender_of_standard_input_was_killed(people):
    alice, bob = people("alice", "bob")
    sending, receiving, write = halves_by_the_byte(alice, bob)
    sending.signal(signal.SIGKILL)
    # Standard input does not come a second time: that is the end, and the receiver knows it at once.
    receiving.expect(69, 5)
    os.close(write)
    assert bob.received() == [] and "was cut" in receiving.err() and "it goes on when" not in receiving.err(), (
        receiving.tail()
    )


def test_a_killed_receiver_is_waited_for_and_served_when_it_is_back(people, large):
    alice, bob = people("alice", "bob")
    digest = content.file(large / "film.mkv", "back", 200_000_000)
    receiving = bob.receive()
    sending = alice.send(bob, "--no-wait", large / "film.mkv")
    until(lambda: content.largest(bob.inbox) >= 20_000_000, 30, "a part of the file")
    receiving.signal(signal.SIGKILL)
    sending.wait_for(
        rf'"film.mkv": the connection of {bob.name} was cut; sending again as soon as {bob.name} is back '
        r"\(until --timeout, 10 min\)",
        5,
    )
    sending.wait_for(f"{bob.name} is not receiving now; waiting", 5)
    receiving = bob.receive(ready=False)
    sending.expect(0, 60)
    receiving.expect(0, 5)
    assert content.sha256(bob.inbox / "film.mkv") == digest
    # The relay was there all the time.
    assert "reconnecting" not in sending.err() and sending.err().count("was cut") == 1, sending.tail()


@pytest.mark.slow
def test_a_receiver_that_stays_away_ends_the_sender_at_its_timeout(people, large):
    alice, bob = people("alice", "bob")
    sending, receiving = halfway(alice, bob, large, send=("--timeout", "2s"))
    receiving.signal(signal.SIGKILL)
    sending.expect(75, 20)
    assert f"{bob.name} did not come back in time; try again, or with a longer --timeout" in sending.err(), (
        sending.tail()
    )


def test_a_sender_of_standard_input_fails_when_its_receiver_is_killed(people):
    alice, bob = people("alice", "bob")
    sending, receiving, write = halves_by_the_byte(alice, bob)
    status, _ = one_second_after(lambda: receiving.signal(signal.SIGKILL), sending)
    os.close(write)
    # What was read from standard input cannot be sent again to a receiver that comes back.
    assert status > 0 and "cannot be read a second time" in sending.err(), sending.tail()
    assert bob.stored() == [], bob.received()


def test_a_receiver_killed_after_the_last_byte_is_not_a_delivery(relay, people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, "--timeout", "1s", tmp_path / "file")
        rung = bob.ring()
        rung.accept()
        assert rung.download().files == [b"abc"]
    sending.expect(75, 15)
    assert "\ndelivered" not in sending.err(), sending.tail()


def test_a_sender_who_leaves_while_ringing_is_told_to_the_receiver(relay, people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.client("bob", receiving=True) as bob:
        for how, codes in ((signal.SIGKILL, {"sender_gone"}), (signal.SIGINT, {"cancelled", "sender_gone"})):
            sending = alice.send(bob.name, tmp_path / "file")
            rung = bob.ring()
            sending.signal(how)
            assert rung.failed(1)["code"] in codes
            assert sending.wait(2) != 0


def test_a_sender_whose_time_is_over_says_so_to_the_receiver(relay, people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, "--timeout", "1s", tmp_path / "file")
        failed = bob.ring().failed(15)
        assert (failed["code"], failed["by"]) == ("timed_out", "peer"), failed
        sending.expect(75, 5)
    assert f"{bob.name} did not accept in time" in sending.err(), sending.tail()


def test_a_timeout_of_zero_is_a_usage_error(people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"abc")
    sending = alice.send("bob", "--timeout", "0", tmp_path / "file").expect(64, 10)
    assert "--timeout must be longer than zero, such as 30s, 10m or 24h" in sending.err(), sending.tail()


def test_ctrl_c_of_a_sender_tells_the_receiver_that_it_was_cancelled(relay, people, large):
    alice = people("alice")
    # A hole in a file is not sent: this one has none where it begins.
    content.file(large / "file", "interrupted", 64 * content.MiB)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, large / "file")
        rung = bob.ring()
        start = rung.accept()
        arrived = []

        def slowly(piece):
            arrived.append(len(piece))
            if sum(arrived) > 10_000_000:
                gone.wait(20)

        gone = threading.Event()
        downloading = background(protocol.download, relay, start, slowly)
        until(lambda: sum(arrived) > 10_000_000, 20, "the first bytes")
        sending.signal(signal.SIGINT)
        failed = rung.failed(1)
        gone.set()
        assert (failed["code"], failed["by"]) == ("cancelled", "peer")
        assert downloading.result(5)[2] is False, "a cut must not look whole"
        assert sending.wait(2) == 130, sending.tail()


def test_ctrl_c_of_a_receiver_tells_the_sender_that_it_was_cancelled(relay, people):
    bob = people("bob")
    receiving = bob.receive()
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": bytes(100 * sealed.CHUNK)})
        offered.start()
        stop: list[bool] = []

        def slowly():
            body = offered.sealed.body()
            for at in range(0, len(body) - sealed.CHUNK, sealed.CHUNK):
                if stop:
                    return
                yield body[at : at + sealed.CHUNK]
                time.sleep(0.1)

        uploading = background(offered.upload, slowly())
        until(lambda: content.largest(bob.inbox) >= sealed.CHUNK, 10, "the first bytes")
        receiving.signal(signal.SIGINT)
        with pytest.raises(protocol.Failed) as failed:
            offered.delivered(1)
        stop.append(True)
        assert (failed.value.code, failed.value.by) == ("cancelled", "peer")
        uploading.exception(5)
    assert receiving.wait(2) != 0
    assert not (bob.inbox / "file").exists()


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM"])
def test_a_signal_that_was_ignored_at_the_start_stays_ignored(people, tmp_path, name):
    """`nohup relay-client …`, and a script's job in the background."""
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"still here")
    receiving = bob.receive(prefix=("sh", "-c", f'trap "" {name}; exec "$@"', "sh"))
    receiving.signal(signal.Signals[f"SIG{name}"])
    alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 5)
    assert (bob.inbox / "file").read_bytes() == b"still here"


@pytest.mark.parametrize("once", [True, False], ids=["once", "for-ever"])
def test_a_broken_transfer_to_standard_output_is_not_followed_by_another(relay, people, once):
    bob = people("bob")
    receiving = bob.receive("--json", output="-", once=once)
    # As much as is in the first chunk, and has to be written before there is another.
    tree = Tree.of({"film.mkv": b"half" * 20_000})
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, tree)
        offered.start()

        def half():
            yield offered.sealed.body()[: sealed.CHUNK + sealed.TAG]
            until(receiving.out, 10, "the first bytes")
            raise ConnectionAbortedError

        with pytest.raises(ConnectionAbortedError):
            offered.upload(half())
        receiving.expect(69, 10)
        # A receiver that is still there would take it from its beginning.
        again = alice.offer(bob.name, tree, transfer=offered.sealed.transfer)
        assert again.offer.states == ["waiting"]
    assert b"half" * 20_000 > receiving.out().encode() > b"half" * 10_000 and len(receiving.events("failed")) == 1, (
        receiving.tail()
    )


def test_the_uploads_answer_is_readable_when_the_receiver_is_cut(relay):
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing(100_000_000)
        pushing = background(upload.send, bytes(100_000_000))
        wait_for_bytes(download, 1_000_000)
        download.reset()
        pushing.result(10)
        answer = upload.answer(timeout=5, method="PUT")
        assert answer is not None and answer.status == 502 and b"receiver_gone" in answer.body, answer
        with pytest.raises(protocol.Failed) as failed:
            offer.delivered(2)
        assert failed.value.code == "receiver_gone"


def test_the_uploads_answer_says_what_the_message_says(relay):
    """The receiver cuts its stream, and says why within half a second: the HTTP answer says the same."""
    for code in ("no_space", "cancelled", None):
        with Pair(relay) as pair:
            offer, download, upload = pair.flowing(100_000_000)
            pushing = background(upload.send, bytes(100_000_000))
            wait_for_bytes(download, 1_000_000)
            download.reset()
            # The sender's answer waits for the reason, however late that comes.
            if code is None:
                pair.receiver.close()
            else:
                pair.receiver.cancel(offer.transfer, code)
            pushing.result(10)
            answer = upload.answer(timeout=5, method="PUT")
            with pytest.raises(protocol.Failed) as failed:
                offer.delivered(2)
            told = json.loads(answer.body)["code"]
            assert (answer.status, told) == (502, failed.value.code) == (502, code or "receiver_gone"), answer


def test_a_receiver_that_has_everything_may_cut_its_stream(relay):
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing()
        upload.send(raw.chunked(b"x" * 1000, end=False))
        assert download.head().status == 200
        wait_for_bytes(download, 1000)
        download.reset()
        pair.receiver.delivered(offer.transfer, 1000, "0" * 64)
        assert offer.delivered(5)["size"] == 1000
        answer = upload.answer(timeout=5, method="PUT")
        assert answer.status == 200, answer


def test_an_upload_that_comes_to_a_broken_stream_hears_the_reason(relay):
    with Pair(relay) as pair:
        offer, download, start = pair.parked()
        download.reset()
        upload = pair.connect()
        upload.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 5"))
        upload.send(b"12345")
        answering = background(upload.answer, 5, "PUT")
        pair.receiver.cancel(offer.transfer, "too_large")
        answer = answering.result(10)
        with pytest.raises(protocol.Failed) as failed:
            offer.delivered(2)
        assert failed.value.code == "too_large"
        # The token may be revoked before the request is there; a peer is never reported as gone.
        assert b"receiver_gone" not in answer.body, answer


@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_cut_sender_never_ends_the_body_cleanly(relay, known, how):
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing(1_000_000 if known else None)
        upload.send(b"x" * 500_000 if known else raw.chunked(b"x" * 500_000, end=False))
        head = download.head()
        assert head.status == 200
        assert (head.header("content-length") == "1000000") is known
        wait_for_bytes(download, 400_000)
        (upload.close if how == "close" else upload.reset)()
        began = time.monotonic()
        assert download.how_ended(1.0) in (raw.TRUNCATED, raw.RESET), download.ended
        assert time.monotonic() - began < 1.0
        if not known:
            assert not download.buffer.endswith(b"0\r\n\r\n")
        failed = pair.receiver.failed(offer.transfer)
        assert failed["code"] == "sender_gone", failed


def test_what_a_lost_sender_had_sent_still_comes(relay):
    """The relay knows that it is gone before the receiver has taken anything of what waits in the kernels."""
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing(100_000_000)
        assert upload.send(bytes(2_000_000))
        pair.sender.close()
        assert pair.receiver.failed(offer.transfer)["code"] == "sender_gone"
        assert download.head().status == 200
        wait_for_bytes(download, 1_000_000)
        upload.socket.shutdown(socket.SHUT_WR)
        assert download.how_ended(1.5) == raw.TRUNCATED
        assert download.buffer.count(0) == 2_000_000


def test_a_lost_sender_whose_stream_is_silent_is_cut(relay):
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing(100_000_000)
        assert upload.send(bytes(1000)) and download.head().status == 200
        pair.sender.close()
        assert pair.receiver.failed(offer.transfer)["code"] == "sender_gone"
        assert download.how_ended(5) == raw.TRUNCATED and download.buffer.count(0) == 1000
        assert upload.answer(5, "PUT").status == 502


def test_a_half_closed_tls_upload_is_a_cut(relay):
    with Pair(relay) as pair:
        _, download, upload = pair.flowing(1000)
        upload.send(b"x" * 500)
        background(upload.socket.unwrap)
        assert download.head().status == 200
        assert download.how_ended(3) in (raw.TRUNCATED, raw.RESET)


@pytest.mark.alone
def test_a_stopped_receiver_pauses_the_sender_and_costs_no_memory(binaries, certs, own_relay, large):
    """Memory is that of smaps_rollup. The first transfer warms the server's allocator; the second is stopped twice, and
    what is compared is the server while bytes flow, just before the second stop, with the server when all is still."""
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    content.file(large / "small", "small", 300_000_000)
    receiving = bob.receive()
    alice.send(bob, large / "small").expect(0, 30)
    receiving.expect(0, 5)

    sending, receiving = halfway(alice, bob, large)

    def accepted():
        # What the server has read; its timers read some bytes a second too.
        return measure.io(relay.pid)["rchar"] // 65_536 * 65_536

    receiving.signal(signal.SIGSTOP)
    settled(accepted, 1, 20, "the server still reads")
    receiving.signal(signal.SIGCONT)
    seen = content.largest(large / "inbox")
    until(lambda: content.largest(large / "inbox") > seen + 50_000_000, 20, "bytes flow again")

    before = max(relay.resident() for _ in range(5))
    receiving.signal(signal.SIGSTOP)
    at_stop = accepted()
    at_rest = settled(accepted, 2, 20, "the server still reads")
    after = relay.resident()
    assert after - before <= 256 * 1024, f"{(after - before) // 1024} KiB"
    # The receiver's own kernel goes on taking what its buffer holds, and that buffer has grown with the stream.
    assert at_rest - at_stop <= measure.receive_buffer() + 8 * content.MiB, (
        f"{(at_rest - at_stop) / content.MiB:.1f} MiB were taken after the stop"
    )
    sent = measure.io(sending.pid)["rchar"]
    assert settled(lambda: measure.io(sending.pid)["rchar"], 1, 10, "the sender reads on") - sent < 100_000
    relay.healthy()
    receiving.signal(signal.SIGCONT)
    seen = content.largest(large / "inbox")
    until(lambda: content.largest(large / "inbox") > seen + 50_000_000, 20, "bytes flow again after the second stop")


def test_a_stopped_transfer_does_not_slow_another(relay, people, large, tmp_path):
    alice, bob, carol, dave = people("alice", "bob", "carol", "dave")
    _, receiving = halfway(alice, bob, large)
    receiving.signal(signal.SIGSTOP)
    digest = content.file(tmp_path / "other", "unrelated", 50_000_000)
    other = dave.receive()
    carol.send(dave, tmp_path / "other").expect(0, 15)
    other.expect(0, 5)
    assert content.sha256(dave.inbox / "other") == digest
