# SPDX-License-Identifier: Apache-2.0
"""Metrics and health: what a scraper and a balancer see."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess

import pytest

from harness import content, metrics, protocol, raw
from harness.control import Socket
from harness.pairs import Pair, wait_for_bytes
from harness.relay import Relay, unique
from harness.waiting import until

CHOSEN = ("--metrics-listen", "127.0.0.1:0")
DELIVERED = 'relay_transfers_ended_total{outcome="delivered"}'
RELAYED = 'relay_bytes_relayed_total{to="receiver"}'
FAILED = 'relay_transfers_ended_total{outcome="failed"}'


def test_a_transfer_moves_the_counters(own_relay, tmp_path):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)
    before = metrics.scrape(port)
    assert before["relay_users"] == before[RELAYED] == before[DELIVERED] == 0
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    (tmp_path / "file").write_bytes(os.urandom(300_000))
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 30)
    receiving.expect(0, 10)
    after = metrics.scrape(port)
    assert after[DELIVERED] == 1 and after[FAILED] == 0
    assert after['relay_streams_total{to="receiver"}'] == 1 and after['relay_streams_total{to="node"}'] == 0
    # Content is framed on its way.
    assert 300_000 <= after[RELAYED] < 310_000
    assert after["relay_users"] == 3  # with the watcher
    assert after["process_resident_memory_bytes"] > content.MiB and after["process_cpu_seconds_total"] > 0
    assert 10 < after["process_open_fds"] < after["process_max_fds"]
    assert after["relay_accepts_total"] > before["relay_accepts_total"] > 0
    page = metrics.ask(port, "/metrics")[2]
    assert alice.name not in page and bob.name not in page and "127.0.0.1" not in page


def test_the_page_is_what_prometheus_wants(own_relay, tmp_path):
    relay = own_relay(registration="open", arguments=CHOSEN)
    with Pair(relay) as pair:
        _, download, upload = pair.flowing(1000)
        upload.send(b"a" * 500)
        wait_for_bytes(download, 100)
        page = metrics.ask(metrics.port_of(relay), "/metrics")[2]
    checked = subprocess.run(
        ("promtool", "check", "metrics"), check=False, input=page, capture_output=True, text=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    # Whatever goes on: the page has a line for each figure from the start, and none for each client.
    assert page.count("\n") < 700


def test_bytes_count_while_they_go(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)
    with Pair(relay) as pair:
        _, download, upload = pair.flowing(1_000_000)
        for sent in (1000, 2000, 3000):
            upload.send(b"x" * 1000)
            until(lambda sent=sent: metrics.scrape(port)[RELAYED] == sent, 10, "what was sent counts at once")
        now = metrics.scrape(port)
        assert now["relay_streams"] == now['relay_streams_total{to="receiver"}'] == 1
        assert now["relay_stream_first_byte_seconds_count"] == now["relay_transfer_pair_seconds_count"] == 1
        assert now["relay_stream_duration_seconds_count"] == now["relay_streams_finished_total"] == 0
        download.close()
        gone = 'relay_streams_cut_total{code="receiver_gone"}'
        until(lambda: metrics.scrape(port)[gone] == 1, 10, "it is cut")
        assert metrics.scrape(port)["relay_stream_duration_seconds_count"] == 1


def test_handshakes_are_counted_by_what_they_took(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)

    def counts():
        page = metrics.scrape(port)
        return [page[f'relay_tls_handshakes_total{{kind="{kind}"}}'] for kind in ("full", "resumed", "failed")]

    full, resumed, failed = counts()
    context = ssl.create_default_context(cafile=relay.ca)
    session = None
    for _ in range(2):
        with (
            socket.create_connection(relay.address, 5) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while secure.recv(4096):
                pass
            session = secure.session
    with socket.create_connection(relay.address, 5) as plain:
        plain.sendall(b"\x16\x03\x01\x00\x05nonsense")
        while plain.recv(4096):
            pass
    with socket.create_connection(relay.address, 5):
        pass  # a balancer's health check: it says nothing
    until(lambda: counts() == [full + 1, resumed + 1, failed + 1], 10, counts)


def test_an_offer_that_follows_a_failure_between_the_same_two_is_counted(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    payload = protocol.pack(v=0, name="file")

    def counted():
        page = metrics.scrape(metrics.port_of(relay))
        return page["relay_transfers_offered_total"], page["relay_transfers_offered_again_total"]

    with relay.session("alice") as alice, relay.session("bob", receiving=True) as bob, relay.session("eve") as eve:
        first = alice.offer(bob.identity.name, payload)
        assert counted() == (1, 0)
        alice.cancel(first.transfer)
        # To another, and from another: neither is the same transfer once more.
        alice.offer(eve.identity.name, payload)
        eve.offer(bob.identity.name, payload)
        assert counted() == (3, 0)
        alice.offer(bob.identity.name, payload)
        assert counted() == (4, 1)


def test_each_refusal_and_each_limit_moves_its_counter(own_relay):
    relay = own_relay(registration="open", arguments=(*CHOSEN, "--address-limit", "8"))
    port = metrics.port_of(relay)

    def counted(name):
        return metrics.scrape(port)[name]

    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(raw.request("GET", "/download", "Authorization: Bearer " + "A" * 43))
        assert connection.answer().status == 403
    assert counted('relay_http_refusals_total{status="403"}') == 1
    with relay.session("alice") as alice, pytest.raises(protocol.Refused, match="unknown_peer"):
        alice.lookup("nobody-at-all")
    assert counted('relay_request_errors_total{code="unknown_peer"}') == 1

    with Socket(relay) as early:
        for number in range(11):
            early.say(type="lookup", id=f"c{number}", name="bob")
        assert early.closing() == 1008
    assert counted('relay_limits_met_total{limit="messages_before_login",of="connection"}') == 1

    with contextlib.ExitStack() as crowd:
        for _ in range(70):
            address = ("127.0.3.1", 0)
            crowd.enter_context(socket.create_connection(relay.address, 5, source_address=address))
        unauthenticated = 'relay_limits_met_total{limit="unauthenticated",of="address"}'
        until(lambda: counted(unauthenticated) == 70 - 64, 10, lambda: counted(unauthenticated))

    identity = protocol.Identity(unique("many"))
    with contextlib.ExitStack() as crowd:
        for _ in range(64):
            crowd.enter_context(Socket(relay)).login(identity)
        with Socket(relay) as one_more, pytest.raises(AssertionError, match="too_many"):
            one_more.login(identity)
    assert counted('relay_limits_met_total{limit="sessions",of="user"}') == 1


def test_metrics_show_running_and_failed_transfers(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)
    with Pair(relay) as pair:
        offer, _, upload = pair.flowing(1_000_000)
        upload.send(b"x" * 1000)
        until(lambda: metrics.scrape(port)['relay_transfers{state="streaming"}'] == 1, 10, "it streams")
        now = metrics.scrape(port)
        assert now["relay_sessions"] == 2 and now["relay_receivers"] == 1 and now["relay_connections"] == 4
        upload.close()
        pair.receiver.failed(offer.transfer)
        after = metrics.scrape(port)
        assert after[FAILED] == 1 and after[DELIVERED] == 0 and after['relay_transfers{state="streaming"}'] == 0


def test_the_metrics_listener_serves_three_paths_and_refuses_others(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)
    for path, body in (("/healthz", "ok\n"), ("/readyz", "ready\n")):
        assert metrics.ask(port, path)[::2] == (200, body)
        status, head, nothing = metrics.ask(port, path, "HEAD")
        assert (status, nothing) == (200, "") and "Content-Length: " in head
    assert metrics.ask(port, "/metrics", "HEAD")[::2] == (200, "")
    assert metrics.ask(port, "/metrics?x=1")[0] == 200
    for path in ("/", "/ws", "/upload", "/download", "/metrics/"):
        assert metrics.ask(port, path)[0] == 404
    status, head, _ = metrics.ask(port, "/metrics", "POST")
    assert status == 405 and "\r\nAllow: GET, HEAD" in head
    assert (
        metrics.ask(port, "", request=b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")[0] == 400
    )
    assert metrics.ask(port, "", request=b"\x16\x03\x01\x02\x00 nonsense\r\n\r\n")[0] == 400
    # Nothing of it is there for the relay's own clients.
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(raw.request("GET", "/metrics"))
        assert connection.answer().status == 404


def test_too_many_scrapers_do_not_add_up(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)
    idle = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(64)]
    try:

        def is_refused():
            try:
                return metrics.attempt(port, "/healthz") is None
            except ConnectionError:
                return True

        def one_more():
            # Event loops accept side by side: of connections made at once, any may be the one too many.
            idle.append(socket.create_connection(("127.0.0.1", port), 5))
            return is_refused()

        until(one_more, 5, "one more is closed unheard")
        relay.healthy()
    finally:
        for each in idle:
            each.close()
    until(lambda: not is_refused(), 10, "there is room again")


def test_status_has_the_address_and_off_has_none(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    listed = json.loads(relay.command("status", "--json").stdout)["metricsListen"]
    assert listed == f"127.0.0.1:{metrics.port_of(relay)}"
    assert listed in relay.command("status").stdout
    relay = own_relay(registration="open", arguments=("--metrics-listen", "off"))
    assert "metricsListen" not in json.loads(relay.command("status", "--json").stdout)
    assert "purpose=metrics" not in relay.logs()


def test_a_chosen_address_that_is_taken_ends_the_start(binaries, certs, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        relay = Relay(binaries, certs, tmp_path / "relay", arguments=("--metrics-listen", address)).launch()
        assert relay.process.wait(20) == 69, relay.process.tail()
    (line,) = [line for line in relay.logs().splitlines() if address in line]
    assert f"cannot listen on {address}: another process does" in line


def test_a_taken_default_address_does_not_end_the_start(binaries, certs, tmp_path):
    try:
        holder = socket.create_server(("127.0.0.1", 9180))
    except OSError:
        # Another process of this machine has it already, which is as good.
        holder = socket.socket()
    with holder:
        # An empty variable is none.
        relay = Relay(binaries, certs, tmp_path / "relay", registration="open", env={"RELAY_METRICS_LISTEN": ""})
        relay.start().healthy()
        (line,) = [line for line in relay.logs().splitlines() if "metrics" in line]
        assert "metrics are not served" in line and "127.0.0.1:9180" in line, line
        assert "metricsListen" not in json.loads(relay.command("status", "--json").stdout)
        assert relay.stop() == 0


@pytest.mark.parametrize("value", ["9180", "OFF", "127.0.0.1:99999"])
def test_a_wrong_address_is_refused(binaries, certs, tmp_path, value):
    relay = Relay(binaries, certs, tmp_path / "relay", arguments=("--metrics-listen", value)).launch()
    assert relay.process.wait(20) == 64
    assert "--metrics-listen" in relay.logs() and value in relay.logs()


def test_a_relay_that_drains_wants_no_new_clients(own_relay):
    relay = own_relay(registration="open", arguments=CHOSEN)
    port = metrics.port_of(relay)
    with Pair(relay, timeout=20) as pair:
        offer, download, upload = pair.flowing(1000)
        upload.send(b"a" * 500)
        wait_for_bytes(download, 100)
        relay.process.signal(signal.SIGTERM)
        until(lambda: metrics.ask(port, "/readyz")[::2] == (503, "draining\n"), 5, "it drains")
        assert metrics.ask(port, "/healthz")[::2] == (200, "ok\n")
        assert metrics.scrape(port)["relay_draining"] == 1
        upload.send(b"b" * 500)
        wait_for_bytes(download, 1000)
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 1000, "0" * 64)
        assert offer.delivered(5)["size"] == 1000
    assert relay.process.wait(15) == 0
