# SPDX-License-Identifier: Apache-2.0
"""curl moves the bytes with real tokens, and takes a cut for an error."""

import signal

import pytest

from harness import content
from harness.executables import clean_environment
from harness.pairs import Pair
from harness.processes import Process
from harness.waiting import until

PARTIAL_FILE, HTTP_ERROR, SEND_ERROR, RECEIVE_ERROR = 18, 22, 55, 56


def curl(relay, folder, *arguments, **options):
    """Starts curl; it fails on nothing by itself, and prints status and answer."""
    return Process(
        ["curl", "--silent", "--show-error", "--http1.1", "--cacert", relay.ca, *arguments],
        env=clean_environment(folder),
        folder=folder / "curl",
        name="curl",
        **options,
    )


def downloading(relay, folder, start, *more, query=False):
    """curl as the receiver; writes to `got`."""
    how = (
        [f"{relay.url}/download?token={start.token}"]
        if query
        else ["--header", f"Authorization: Bearer {start.token}", f"{relay.url}/download"]
    )
    return curl(relay, folder, "--output", folder / "got", "--write-out", "%{http_code}", *more, *how)


def uploading(relay, folder, token, source, *more, query=False, **options):
    """curl as the sender."""
    how = (
        [f"{relay.url}/upload?token={token}"]
        if query
        else ["--header", f"Authorization: Bearer {token}", f"{relay.url}/upload"]
    )
    return curl(relay, folder, "--upload-file", source, "--write-out", "\n%{http_code}", *more, *how, **options)


@pytest.mark.parametrize("query", [False, True], ids=["header", "query"])
@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"], ids=["expect", "no-expect"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_curl_uploads_and_downloads(relay, tmp_path, framing, expect, query):
    digest = content.file(tmp_path / "source", f"{framing} {expect}", 20_000_000)
    more = ["--header", expect]
    if framing == "chunked":
        more += ["--header", "Transfer-Encoding: chunked"]
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        receiver = downloading(relay, tmp_path, start, query=query)
        token = offer.start().token
        sender = uploading(relay, tmp_path, token, tmp_path / "source", *more, query=query)
        sender.expect(0, 30)
        receiver.expect(0, 30)
    assert sender.out().split() == ['{"bytes":20000000}', "200"]
    assert receiver.out() == "200"
    assert content.sha256(tmp_path / "got") == digest


def test_curl_posts_an_empty_body(relay, tmp_path):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        receiver = downloading(relay, tmp_path, start)
        sender = curl(
            relay,
            tmp_path,
            "--data-binary",
            "",
            "--write-out",
            "\n%{http_code}",
            "--header",
            f"Authorization: Bearer {offer.start().token}",
            f"{relay.url}/upload",
        )
        sender.expect(0, 10)
        receiver.expect(0, 10)
    assert sender.out().split() == ['{"bytes":0}', "200"] and receiver.out() == "200"
    assert not (tmp_path / "got").exists() or (tmp_path / "got").stat().st_size == 0


FRAMINGS = pytest.mark.parametrize("framing", ["Content-Length: 40000000", "Transfer-Encoding: chunked"])


def underway(relay, tmp_path, pair, framing):
    """curl on both sides, at a pace that would take 5 s, when a tenth is through: (offer, sender, receiver)."""
    with open(tmp_path / "source", "wb") as file:
        file.truncate(40_000_000)
    offer, start = pair.accepted()
    receiver = downloading(relay, tmp_path, start, "--no-buffer")
    pace = ["--limit-rate", "8M", "--fail-with-body", "--header", "Expect:", "--header", framing]
    sender = uploading(relay, tmp_path, offer.start().token, tmp_path / "source", *pace)
    got = tmp_path / "got"
    until(lambda: got.exists() and got.stat().st_size >= 4_000_000, 20, "a tenth of it")
    return offer, sender, receiver


@FRAMINGS
def test_curl_sees_a_cut_sender_as_an_error(relay, tmp_path, framing):
    with Pair(relay) as pair:
        _, sender, receiver = underway(relay, tmp_path, pair, framing)
        sender.signal(signal.SIGKILL)
        status = receiver.wait(3)
    # 18: partial file; 56: the TLS connection ended without close_notify.
    assert status in (PARTIAL_FILE, RECEIVE_ERROR), receiver.tail()


@FRAMINGS
def test_curl_sees_a_cut_receiver_as_an_error_and_gets_the_answer(relay, tmp_path, framing):
    with Pair(relay) as pair:
        _, sender, receiver = underway(relay, tmp_path, pair, framing)
        receiver.signal(signal.SIGKILL)
        status = sender.wait(3)
    assert sender.out().split("\n")[-1] == "502" and '"receiver_gone"' in sender.out(), sender.tail()
    assert status in (HTTP_ERROR, SEND_ERROR), sender.tail()


@FRAMINGS
@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_curl_sees_a_cancelled_transfer_as_an_error(relay, tmp_path, framing, side):
    with Pair(relay) as pair:
        offer, sender, receiver = underway(relay, tmp_path, pair, framing)
        getattr(pair, side).cancel(offer.transfer)
        assert receiver.wait(3) in (PARTIAL_FILE, RECEIVE_ERROR), receiver.tail()
        assert sender.wait(3) in (HTTP_ERROR, SEND_ERROR), sender.tail()
    assert sender.out().split("\n")[-1] == "502" and '"cancelled"' in sender.out(), sender.tail()


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"], ids=["expect", "no-expect"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_early_403_arrives_while_a_gigabyte_is_uploaded(relay, tmp_path, framing, expect):
    with open(tmp_path / "gigabyte", "wb") as file:
        file.truncate(content.GiB)
    more = ["--header", "Transfer-Encoding: chunked"] if framing == "chunked" else []
    sender = uploading(
        relay,
        tmp_path,
        "A" * 43,
        tmp_path / "gigabyte",
        "--header",
        expect,
        *more,
        "--write-out",
        "\n%{size_upload} %{http_code}",
    )
    status = sender.wait(40)
    last = sender.out().split("\n")[-1]
    sent, code = last.split(" ")
    assert code == "403", sender.tail()
    assert '"token_refused"' in sender.out(), sender.tail()
    assert status in (0, SEND_ERROR), sender.tail()
    if "100" in expect:
        assert int(sent) == 0, "nothing is sent before the relay says so"


def test_100_continue_comes_only_when_the_receiver_is_there_and_curl_then_sends(relay, tmp_path):
    (tmp_path / "source").write_bytes(b"abc")
    with Pair(relay) as pair:
        _, download, start = pair.parked()
        sender = uploading(
            relay,
            tmp_path,
            start.token,
            tmp_path / "source",
            "--header",
            "Expect: 100-continue",
            "--expect100-timeout",
            "20",
            "--verbose",
        )
        sender.expect(0, 10)
        assert download.answer().body == b"abc"
    assert "< HTTP/1.1 100 Continue" in sender.err(), sender.tail()


def test_curl_reads_healthz(relay, tmp_path):
    curl(relay, tmp_path, "--fail", f"{relay.url}/healthz").expect(0, 10)
