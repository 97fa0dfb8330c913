# SPDX-License-Identifier: Apache-2.0
"""What a relay may answer to a sender: another address for the bytes, not now, come again."""

import ssl

import pytest

from harness import certificates
from harness.listener import closed_port
from harness.proxy import Proxy
from harness.waiting import until

BODY = b"steered content"


@pytest.fixture
def alice(people, tmp_path):
    """A user with a profile and a file."""
    (tmp_path / "file").write_bytes(BODY)
    return people("alice")


def send(alice, relay, tmp_path, **options):
    """Sends the file through this relay."""
    return alice.send("bob", "--server", relay.url, tmp_path / "file", **options)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
def test_the_bytes_go_where_start_says(fake, alice, tmp_path, proxied):
    relay = fake()
    node = relay.listen()
    relay.url_of_start = f"https://127.0.0.1:{node}/upload"
    with Proxy() as proxy:
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"} if proxied else {}
        send(alice, relay, tmp_path, env=env).expect(0, 10)
        assert set(proxy.served) == ({f"127.0.0.1:{relay.port}", f"127.0.0.1:{node}"} if proxied else set())
    assert relay.uploads == [(node, relay.token)] and relay.content == BODY


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
def test_a_node_that_cannot_be_reached_is_left_for_the_relays_own_address(fake, alice, tmp_path, proxied):
    relay = fake(url=f"https://127.0.0.1:{closed_port()}/upload")
    with Proxy() as proxy:
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"} if proxied else {}
        send(alice, relay, tmp_path, env=env).expect(0, 10)
    assert relay.uploads == [(relay.port, relay.token)] and relay.content == BODY


@pytest.mark.parametrize("kind", ["another CA", "another name"])
def test_a_token_never_goes_to_a_node_that_proves_nothing(fake, alice, tmp_path, certs, kind):
    relay = fake()
    if kind == "another CA":
        other = certificates.forged(tmp_path / "other", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(other.chain, other.key)
        node, host = relay.listen(context), "127.0.0.1"
    else:
        # The relay's own certificate is good for 127.0.0.1, and for no other address.
        node, host = relay.listen(), "127.0.0.2"
    relay.url_of_start = f"https://{host}:{node}/upload"
    send(alice, relay, tmp_path).expect(0, 10)
    assert relay.uploads == [(relay.port, relay.token)] and relay.content == BODY


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/upload", "ftp://127.0.0.1/upload", "https://a@127.0.0.1/upload"])
def test_an_address_without_tls_is_not_used(fake, alice, tmp_path, url):
    relay = fake(url=url)
    send(alice, relay, tmp_path).expect(76, 10)
    assert relay.uploads == []


@pytest.mark.parametrize("code", ["draining", "unavailable", "cluster_unavailable"])
def test_the_same_token_is_used_again_after_503(fake, alice, tmp_path, code):
    relay = fake(answers=[(503, code, 0), (503, code, None)])
    sending = send(alice, relay, tmp_path).expect(0, 10)
    assert relay.uploads == [(relay.port, relay.token)] * 3 and relay.content == BODY
    assert len(relay.offers) == 1 and relay.logins == 1
    assert sending.err().count("reconnecting: ") == 1 and sending.err().count("reconnected") == 1, sending.tail()


def test_a_token_is_tried_as_long_as_start_says(fake, alice, tmp_path):
    relay = fake(expires=6, answers=[(503, "draining", 0)] * 1_000)
    sending = send(alice, relay, tmp_path)
    # Then it makes the offer again, which brings another token.
    until(lambda: len(relay.offers) >= 2, 20, lambda: f"another offer: {len(relay.uploads)} uploads\n{sending.tail()}")
    relay.answers = []
    sending.expect(0, 20)
    assert relay.content == BODY


def test_a_token_that_is_gone_after_503_leads_to_another_offer(fake, alice, tmp_path):
    relay = fake(answers=[(503, "draining", None), (403, "token_refused", None)])
    send(alice, relay, tmp_path).expect(0, 15)
    assert len(relay.offers) == 2 and relay.logins == 2
    assert relay.offers[0]["transfer"] != relay.offers[1]["transfer"]
    assert relay.offers[0]["sealed"].transfer == relay.offers[1]["sealed"].transfer


@pytest.mark.parametrize(("code", "status"), [("declined", 77), ("no_space", 74), ("verification_failed", 65)])
def test_what_the_receiver_said_is_final(fake, alice, tmp_path, code, status):
    relay = fake(answers=[(502, code, None)])
    send(alice, relay, tmp_path).expect(status, 15)
    assert len(relay.offers) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [(502, "receiver_gone"), (504, "stalled"), (504, "expired"), (403, "token_refused"), (500, "internal_error")],
)
def test_what_only_the_network_ended_is_offered_again(fake, alice, tmp_path, answer):
    relay = fake(answers=[(*answer, None)])
    send(alice, relay, tmp_path).expect(0, 30)
    first, second = relay.offers
    assert first["transfer"] != second["transfer"] and first["sealed"].transfer == second["sealed"].transfer
    assert first["sealed"].summary == second["sealed"].summary and first["payload"] != second["payload"]
    # A receiver that has accepted once is waited for.
    assert second["wait"] and relay.content == BODY


def test_a_relay_that_is_busy_at_first_is_waited_for(fake, alice, tmp_path):
    relay = fake(busy=3)
    sending = send(alice, relay, tmp_path).expect(0, 20)
    assert relay.busy == 0 and relay.content == BODY
    assert sending.err().count("reconnecting: ") == 1, sending.tail()


@pytest.mark.parametrize("code", ["draining", "unavailable", "cluster_unavailable", "internal_error"])
def test_an_offer_is_made_again_on_another_connection(fake, alice, tmp_path, code):
    relay = fake(refusals=[code])
    send(alice, relay, tmp_path).expect(0, 15)
    assert len(relay.offers) == 2 and relay.logins == 2 and relay.content == BODY


@pytest.mark.slow
@pytest.mark.parametrize("code", ["rate_limited", "too_many_transfers", "transfer_exists"])
def test_a_limit_is_waited_for_on_the_same_connection(fake, alice, tmp_path, code):
    relay = fake(refusals=[code])
    send(alice, relay, tmp_path).expect(0, 20)
    assert len(relay.offers) == 2 and relay.logins == 1 and relay.content == BODY


@pytest.mark.slow
def test_a_limit_is_told_in_the_relays_own_words(fake, alice, tmp_path):
    """Whose it is, and how much, only the relay knows; what it says stays on its line, and ends."""
    said = "alice has as many offers as there may be (1): wait until some of them are over"
    relay = fake(refusals=[("too_many_transfers", said), ("too_many_transfers", f"\x1b[2J\n{'A' * 20_000}")])
    sending = send(alice, relay, tmp_path).expect(0, 30)
    assert f"the relay says: {said}; sending again" in sending.err(), sending.tail()
    assert "the relay says: \\u{1b}[2J\\u{a}AAAA" in sending.err() and b"\x1b[2J" not in sending.output()
    assert 100 < sending.err().count("A") < 500 and relay.content == BODY


def test_refusals_without_end_end_at_the_timeout(fake, alice, tmp_path):
    relay = fake(refusals=["cluster_unavailable"] * 1_000)
    sending = alice.send("bob", "--timeout", "2s", "--server", relay.url, tmp_path / "file").expect(75, 15)
    assert "gave up after 2 s" in sending.err(), sending.tail()
    assert 2 <= len(relay.offers) < 200


@pytest.mark.parametrize(
    ("code", "status"), [("unknown_peer", 69), ("peer_offline", 69), ("bad_message", 76), ("not_now", 76)]
)
def test_a_refusal_that_is_final_is_final(fake, alice, tmp_path, code, status):
    relay = fake(refusals=[code] * 2)
    send(alice, relay, tmp_path).expect(status, 5)
    assert len(relay.offers) == 1
