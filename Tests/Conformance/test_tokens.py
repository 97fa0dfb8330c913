# SPDX-License-Identifier: Apache-2.0
"""What a token is good for: one request, of its own side and method, and attempts with others learn nothing."""

import asyncio
import functools
import json
import os
import ssl

import pytest

from harness import protocol, raw
from harness.pairs import Pair
from harness.waiting import background


def ask(pair, method, path, token, *, query=False, length=None):
    """One request with a token; the whole answer."""
    connection = pair.connect()
    target = f"{path}?token={token}" if query else path
    headers = [] if query else [f"Authorization: Bearer {token}"]
    if length is not None:
        headers.append(f"Content-Length: {length}")
    connection.send(raw.request(method, target, *headers))
    answer = connection.answer(method=method, timeout=10)
    assert answer is not None, connection.ended
    assert connection.how_ended(5) == raw.NOTIFY
    return answer


def seen_from_outside(answer):
    """All of an answer that a stranger could compare, but the date."""
    return (
        answer.version,
        answer.status,
        [(name, value) for name, value in answer.headers if name != "date"],
        answer.body,
    )


def finish(pair, offer, download_token):
    """Shows that both tokens of a transfer still work: uses them."""
    download = pair.connect()
    download.send(raw.request("GET", "/download", f"Authorization: Bearer {download_token}"))
    start = offer.start()
    upload = pair.connect()
    upload.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 3", body=b"abc"))
    answer = upload.answer(method="PUT")
    assert answer.status == 200 and json.loads(answer.body) == {"bytes": 3}, answer
    got = download.answer()
    assert got.status == 200 and got.complete and got.body == b"abc", got
    assert got.header("content-type") == "application/octet-stream" and got.header("content-length") == "3"
    return start


@pytest.mark.parametrize("query", [False, True], ids=["header", "query"])
def test_unknown_used_and_wrong_side_tokens_look_the_same(relay, query):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        unknown = protocol.b64(os.urandom(32))
        seen = {
            "unknown download": ask(pair, "GET", "/download", unknown, query=query),
            "malformed download": ask(pair, "GET", "/download", "short", query=query),
            "wrong side, upload": ask(pair, "PUT", "/upload", start.token, query=query, length=0),
            "unknown upload": ask(pair, "PUT", "/upload", unknown, query=query, length=0),
            "unknown upload by POST": ask(pair, "POST", "/upload", unknown, query=query, length=0),
        }
        upload = finish(pair, offer, start.token)
        seen["used download"] = ask(pair, "GET", "/download", start.token, query=query)
        seen["used upload"] = ask(pair, "PUT", "/upload", upload.token, query=query, length=0)
        seen["wrong side, download"] = ask(pair, "GET", "/download", upload.token, query=query)
    different = {name: seen_from_outside(answer) for name, answer in seen.items()}
    assert len({repr(value) for value in different.values()}) == 1, different
    answer = seen["unknown download"]
    assert answer.status == 403 and b"token_refused" in answer.body


@pytest.mark.parametrize("query", [False, True], ids=["header", "query"])
@pytest.mark.parametrize("method", ["HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
def test_another_method_does_not_use_a_download_token_up(relay, method, query):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        answer = ask(
            pair, method, "/download", start.token, query=query, length=0 if method in ("PUT", "POST") else None
        )
        assert answer.status == 405, answer
        allowed = {each.strip() for each in answer.header("allow").split(",")}
        assert allowed == {"GET"}
        finish(pair, offer, start.token)


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE", "PATCH"])
def test_another_method_does_not_use_an_upload_token_up(relay, method):
    with Pair(relay) as pair:
        _, download, start = pair.parked()
        answer = ask(pair, method, "/upload", start.token)
        assert answer.status == 405, answer
        assert {each.strip() for each in answer.header("allow").split(",")} == {"PUT", "POST"}
        assert ask(pair, "PUT", "/download", start.token, length=0).status == 405
        upload = pair.connect()
        upload.send(
            raw.request("POST", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 3", body=b"abc")
        )
        assert upload.answer().status == 200
        assert download.answer().body == b"abc"


def test_the_other_sides_path_does_not_use_a_token_up(relay):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        assert ask(pair, "PUT", "/upload", start.token, length=0).status == 403
        assert ask(pair, "PUT", "/upload", start.token, length=0, query=True).status == 403
        finish(pair, offer, start.token)
    with Pair(relay) as pair:
        _, download, start = pair.parked()
        assert ask(pair, "GET", "/download", start.token).status == 403
        upload = pair.connect()
        upload.send(
            raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 3", body=b"abc")
        )
        assert upload.answer().status == 200
        assert download.answer().body == b"abc"


def test_a_malformed_request_does_not_use_a_token_up(relay):
    with Pair(relay) as pair:
        _, download, start = pair.parked()
        for line in ("Content-Length: 3, 3", "Transfer-Encoding: gzip", "Expect: something\r\nContent-Length: 3"):
            connection = pair.connect()
            connection.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", line))
            assert connection.answer().status in (400, 417, 501), line
        upload = pair.connect()
        upload.send(
            raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 3", body=b"abc")
        )
        assert upload.answer().status == 200
        assert download.answer().body == b"abc"


def test_a_percent_encoded_token_is_the_same_token_or_none(relay):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        encoded = "".join(f"%{ord(letter):02X}" for letter in start.token)
        connection = pair.connect()
        connection.send(raw.request("GET", f"/download?token={encoded}"))
        try:
            upload = offer.start(1.5)
        except AssertionError:
            assert connection.answer().status in (400, 403)
            finish(pair, offer, start.token)
        else:
            other = pair.connect()
            other.send(raw.request("PUT", f"/upload?token={upload.token}", "Content-Length: 3", body=b"abc"))
            assert other.answer().status == 200
            assert connection.answer().body == b"abc"


def test_a_token_dies_with_its_transfer(relay):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        pair.sender.cancel(offer.transfer)
        assert pair.receiver.failed(offer.transfer)["code"] == "cancelled"
        assert ask(pair, "GET", "/download", start.token).status == 403


# So many connections at once take both processors.
@pytest.mark.alone
@pytest.mark.parametrize("side", ["download", "upload"])
def test_of_a_thousand_racers_for_one_token_exactly_one_wins(relay, side):
    racers = 1000
    with Pair(relay, timeout=60) as pair:
        if side == "download":
            offer, start = pair.accepted()
            sent = raw.request("GET", "/download", f"Authorization: Bearer {start.token}")
        else:
            offer, download, start = pair.parked()
            sent = raw.request(
                "PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 3", body=b"abc"
            )
        race = _Race(relay, sent, racers)
        if side == "download":

            def uploaded():
                upload = pair.connect()
                token = offer.start(50).token
                upload.send(
                    raw.request("PUT", "/upload", f"Authorization: Bearer {token}", "Content-Length: 3", body=b"abc")
                )
                return upload.answer(method="PUT", timeout=50).status

            uploading = background(uploaded)
            answers = race.run()
            assert uploading.result(50) == 200
        else:
            answers = race.run()
            assert download.answer().body == b"abc"
    statuses = [status for status, _ in answers]
    assert len(statuses) == racers
    assert statuses.count(200) == 1, {each: statuses.count(each) for each in set(statuses)}
    assert statuses.count(403) == racers - 1, {each: statuses.count(each) for each in set(statuses)}
    assert len({body for status, body in answers if status == 403}) == 1


class _Race:
    """Many connections, opened first (in groups, from many loopback addresses), then let go all at once."""

    def __init__(self, relay, sent, count):
        self.relay, self.sent, self.count = relay, sent, count

    def run(self):
        """The (status, body) of each."""
        return asyncio.run(self._run())

    async def _run(self):
        # All share one TLS session, so that a busy machine opens them within the 10 s that a silent connection has.
        first = raw.Connection(self.relay.address, self.relay.ca, version=ssl.TLSVersion.TLSv1_2)
        context, session = first.context, first.socket.session
        context.wrap_bio = functools.partial(context.wrap_bio, session=session)  # type: ignore[method-assign]
        ready = asyncio.Semaphore(64)
        go = asyncio.Event()
        waiting = 0

        async def one(number):
            nonlocal waiting
            source = f"127.0.{1 + number // 200}.{1 + number % 40}"
            async with ready:
                reader, writer = await asyncio.open_connection(
                    *self.relay.address, ssl=context, local_addr=(source, 0), ssl_handshake_timeout=30
                )
            assert writer.get_extra_info("ssl_object").session_reused
            waiting += 1
            if waiting == self.count:
                go.set()
            await go.wait()
            writer.write(self.sent)
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 40)
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                return int(head.split(b" ", 2)[1]), body
            finally:
                writer.transport.abort()

        with first:
            return await asyncio.wait_for(asyncio.gather(*(one(number) for number in range(self.count))), 90)


def test_tokens_have_nothing_to_do_with_the_transfers_id(relay):
    """The id is known to both sides before, and in logs: the same one again has other tokens."""
    with Pair(relay) as pair:
        transfer, seen = protocol.b64(os.urandom(16)), set()
        for _ in range(3):
            offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0), transfer=transfer)
            assert pair.receiver.ring()["transfer"] == transfer
            download = pair.receiver.accept(transfer)
            upload = finish(pair, offer, download.token)
            seen |= {download.token, upload.token}
            pair.receiver.delivered(transfer, 3, "")
            offer.delivered()
        assert len(seen) == 6 and transfer not in seen
