# SPDX-License-Identifier: Apache-2.0
"""SIGHUP and `relay-server reload`: what is good takes effect, what is not changes nothing."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import ssl

import pytest

from harness import certificates, metrics, protocol, raw
from harness.configured import Configured
from harness.daemon import Daemon
from harness.pairs import Pair, wait_for_bytes
from harness.relay import unique
from harness.waiting import settled, until


class Served:
    """A relay whose certificate files the test may replace."""

    def __init__(self, own_relay, tmp_path, **options):
        self.first = certificates.forged(tmp_path / "first", "127.0.0.1")
        self.second = certificates.forged(tmp_path / "second", "127.0.0.1")
        self.files = certificates.Certificates(tmp_path / "files")
        shutil.copytree(self.first.folder, self.files.folder)
        self.relay = own_relay(
            registration="open",
            arguments=[
                *("--tls-cert", self.files.chain, "--tls-key", self.files.key, "--metrics-listen", "127.0.0.1:0"),
                *options.get("arguments", ()),
            ],
        )
        self.metrics = metrics.port_of(self.relay)

    def put(self, certs):
        """Puts other files in the place of those that are configured."""
        for name in ("server.pem", "server.key"):
            shutil.copy(certs.folder / name, self.files.folder / name)

    def shown(self):
        """Whose certificate a new connection is shown."""
        shown = ssl.get_server_certificate(self.relay.address)
        for name in ("first", "second"):
            if ssl.PEM_cert_to_DER_cert(shown) == der(getattr(self, name)):
                return name
        return "another"

    def figures(self):
        """The figures of reloads."""
        samples = metrics.scrape(self.metrics)
        return (
            samples['relay_reloads_total{outcome="done"}'],
            samples['relay_reloads_total{outcome="failed"}'],
            samples["relay_reload_failing"],
        )


def der(certs):
    """The server's own certificate."""
    text = certs.chain.read_text()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


@pytest.fixture
def served(own_relay, tmp_path):
    """A relay whose certificate files the test may replace."""
    return Served(own_relay, tmp_path)


def test_new_connections_get_the_new_certificate_and_old_ones_go_on(served):
    with raw.Connection(served.relay.address, served.first.ca) as old:
        served.put(served.second)
        assert served.shown() == "first"
        done = served.relay.command("reload")
        assert done.returncode == 0 and "tls-cert" in done.stdout, done
        assert served.shown() == "second"
        old.send(raw.request("GET", "/healthz"))
        assert old.answer().status == 200
    assert served.figures() == (1, 0, 0)


def test_sighup_does_the_same(served):
    served.put(served.second)
    served.relay.process.signal(signal.SIGHUP)
    served.relay.process.wait_for("reloaded", 10)
    assert served.shown() == "second"


def damage(served, kind):
    """Files as they must not be."""
    chain, key = served.files.chain, served.files.key
    served.put(served.second)
    if kind == "garbage":
        chain.write_bytes(os.urandom(3000))
    elif kind == "half-written":
        chain.write_bytes(chain.read_bytes()[: chain.stat().st_size // 3])
    elif kind == "another key":
        shutil.copy(served.first.key, key)
    elif kind == "empty key":
        key.write_bytes(b"")
    elif kind == "missing":
        key.unlink()
    elif kind == "foreign issuer":
        chain.write_bytes(chain.read_bytes() + served.first.ca.read_bytes())
    elif kind == "expired":
        served.put(certificates.forged(served.files.folder / "old", "127.0.0.1", starts=-30, ends=-1))


@pytest.mark.parametrize(
    "kind", ["garbage", "half-written", "another key", "empty key", "missing", "foreign issuer", "expired"]
)
def test_a_bad_file_changes_nothing_and_is_said_in_answer_log_and_metric(served, kind):
    damage(served, kind)
    done = served.relay.command("reload")
    assert done.returncode == 78, done
    assert "nothing was reloaded" in done.stderr and str(served.files.folder) in done.stderr
    served.relay.process.signal(signal.SIGHUP)
    until(lambda: served.figures() == (0, 2, 1), 10, "the metric of two failures")
    until(lambda: served.relay.logs().count("nothing was reloaded") >= 2, 10, "the log of two failures")
    assert served.shown() == "first"
    served.put(served.second)
    assert served.relay.command("reload").returncode == 0
    assert served.figures() == (1, 2, 0) and served.shown() == "second"


def test_a_running_transfer_does_not_notice(own_relay):
    relay = own_relay(registration="open")
    pair = Pair(relay, timeout=20)
    offer, download, upload = pair.flowing(2_000_000)
    upload.send(b"a" * 1_000_000)
    assert download.head().status == 200
    for _ in range(5):
        assert relay.command("reload").returncode == 0
    upload.send(b"b" * 1_000_000)
    wait_for_bytes(download, 2_000_000)
    assert upload.answer(method="PUT").status == 200
    pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
    assert offer.delivered(5)["size"] == 2_000_000


def test_the_configuration_file_is_read_again(binaries, certs, tmp_path):
    file = tmp_path / "server.json"
    file.write_text(json.dumps({"log-level": "notice", "memory-limit": "8G"}))
    relay = Daemon(binaries, certs, tmp_path / "relay", "--config", file)
    try:
        assert relay.done.returncode == 0, relay.done
        file.write_text(json.dumps({"log-level": "debug", "memory-limit": "1M", "registration": "closed"}))
        done = relay.command("reload")
        assert done.returncode == 0, done
        assert "log-level" in done.stdout and "memory-limit" in done.stdout
        assert "registration" in done.stdout.splitlines()[1] and "restart" in done.stdout
        relay.wait_for("memory runs out: new connections are refused", 20)
        # Nothing of a file with one mistake is taken.
        file.write_text(json.dumps({"log-level": "error", "memory-limit": "much"}))
        done = relay.command("reload")
        assert done.returncode == 78 and "memory-limit" in done.stderr
        file.write_text('{"log-level": "err')
        assert relay.command("reload").returncode == 78
        file.write_text(json.dumps({"log-level": "notice", "memory-limit": "off"}))
        assert relay.command("reload").returncode == 0
        relay.wait_for("there is memory again", 20)
        # By the signal as well: a level, and a mistake that changes nothing.
        for level, mistake, is_shown in (("debug", "", True), ("notice", "x", True), ("notice", "", False)):
            before = relay.log.read_text().count("reloaded")
            file.write_text(json.dumps({"log-level": level + mistake, "memory-limit": "off"}))
            os.kill(relay.pid, signal.SIGHUP)
            until(lambda before=before: relay.log.read_text().count("reloaded") > before, 10, "the reload")
            assert shows_connections(relay, certs) == is_shown, (level, mistake)
    finally:
        relay.stop()


def shows_connections(relay, certs):
    """Whether a control connection is worth a line of the log."""
    before = relay.log.read_text().count("control connection opened")
    with raw.Connection(relay.address, certs.ca) as connection:
        connection.send(raw.upgrade())
        assert connection.head().status == 101
        # The challenge is sent after that line.
        wait_for_bytes(connection, 1)
    return relay.log.read_text().count("control connection opened") > before


def test_limits_of_users_change_for_what_comes_next_and_close_nothing(own_relay, tmp_path):
    configured = Configured(own_relay, tmp_path, limit=["connections=2"])
    with Pair(configured.relay, timeout=20) as pair:
        alice = pair.sender.identity
        assert configured.admitted(alice)[0]
        assert configured.admitted(alice) == (False, "too_many_sessions")
        offer, download, upload = pair.flowing(2_000_000)
        upload.send(b"a" * 1_000_000)
        assert download.head().status == 200
        configured.reload("limit", limit=["connections=3"])
        assert configured.admitted(alice)[0]
        assert configured.admitted(alice) == (False, "too_many_sessions")
        # Fewer than there are: they stay, and a mistake beside it changes nothing.
        configured.reload("limit", limit=["connections=1", "transfers=1"])
        configured.write(limit=["connections=9", "transfers=many"])
        done = configured.relay.command("reload")
        assert done.returncode == 78 and "transfers goes from 1" in done.stderr, done
        assert configured.admitted(alice) == (False, "too_many_sessions")
        with pytest.raises(protocol.Refused) as refused:
            pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="second"))
        assert refused.value.code == "too_many_transfers"
        upload.send(b"b" * 1_000_000)
        wait_for_bytes(download, 2_000_000)
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 2_000_000
        # By the signal as well, and back to what is usual.
        configured.write()
        configured.relay.process.signal(signal.SIGHUP)
        until(lambda: configured.admitted(alice)[0], 10, "the usual limit")


def kept(relay, count, expected):
    """How many of so many connections that say nothing are kept, once as many as expected are closed."""
    with contextlib.ExitStack() as crowd:
        made = [crowd.enter_context(socket.create_connection(relay.address, 5)) for _ in range(count)]
        poll = select.poll()
        for each in made:
            poll.register(each, select.POLLIN)
        until(lambda: len(poll.poll(0)) >= count - expected, 5, "those that are closed")
        settled(lambda: len(poll.poll(0)), 0.3, 5, "those that are closed")
        staying = count - len(poll.poll(0))
    until(lambda: metrics.scrape(metrics.port_of(relay))["relay_connections"] == 0, 10, "all are gone")
    return staying


def test_limits_of_addresses_change_for_who_comes_next(own_relay, tmp_path):
    configured = Configured(own_relay, tmp_path, address_limit="1")
    # A user's share of them, and twice that.
    assert kept(configured.relay, 20, 8) == 8
    said = configured.reload("address-limit", address_limit="2")
    assert "unchanged" not in said
    assert kept(configured.relay, 20, 16) == 16
    configured.reload("address-limit", address_limit="off")
    assert kept(configured.relay, 20, 20) == 20
    configured.reload("address-limit", address_limit="1")
    assert kept(configured.relay, 20, 8) == 8
    configured.write(address_limit="1001")
    done = configured.relay.command("reload")
    assert done.returncode == 78 and "address-limit" in done.stderr and "1001" in done.stderr, done
    assert kept(configured.relay, 20, 8) == 8


def test_the_sessions_of_an_address_change_with_its_limit(own_relay, tmp_path):
    configured = Configured(own_relay, tmp_path, address_limit="1", limit=["connections=1"])
    relay = configured.relay
    with contextlib.ExitStack() as sessions:
        names = [protocol.Identity(unique("guest")) for _ in range(3)]
        sessions.enter_context(contextlib.closing(relay.session(identity=names[0])))
        with pytest.raises(protocol.Refused) as refused:
            relay.session(identity=names[1])
        assert refused.value.code == "too_many_sessions"
        configured.reload("address-limit", address_limit="2", limit=["connections=1"])
        sessions.enter_context(contextlib.closing(relay.session(identity=names[1])))
        with pytest.raises(protocol.Refused) as refused:
            relay.session(identity=names[2])
        assert refused.value.code == "too_many_sessions"


def test_a_certificate_that_ends_soon_is_said_at_the_reload(served, tmp_path):
    served.put(certificates.forged(tmp_path / "short", "127.0.0.1", starts=-80, ends=5))
    assert served.relay.command("reload").returncode == 0
    served.relay.process.wait_for("a certificate ends soon", 10)
    ends = metrics.scrape(served.metrics)["relay_certificate_expiry_seconds"]
    assert 4 * 86_400 < ends - metrics.scrape(served.metrics)["process_start_time_seconds"] < 6 * 86_400


def test_limits_are_read_again_and_hold_for_what_comes_next(own_relay, tmp_path):
    configured = Configured(own_relay, tmp_path)
    relay = configured.relay

    def met(of):
        return metrics.scrape(metrics.port_of(relay))[f'relay_limits_met_total{{limit="sessions",of="{of}"}}']

    def reload(*words, **settings):
        configured.reload(*words, **settings)
        return relay.status()

    status = relay.status()
    assert status["limits"]["connections"] == 64 and status["limits"]["day"] == 0 and status["addressLimit"] == 8
    assert "connections=64" in relay.command("status").stdout
    first, second = relay.session("alice"), relay.session("bob")
    status = reload("address-limit", " limit", limit=["connections=1", "rate=2M"], address_limit="2")
    assert status["limits"]["connections"] == 1 and status["limits"]["rate"] == 2 << 20 and status["addressLimit"] == 2
    # One of the user is there, and two of the address.
    with pytest.raises(protocol.Refused) as refused:
        relay.session(identity=first.identity)
    assert refused.value.code == "too_many_sessions" and met("user") == 1 and met("address") == 0
    with pytest.raises(protocol.Refused) as refused:
        relay.session("carol")
    assert refused.value.code == "too_many_sessions" and met("address") == 1
    # Who was there stays, and has room again when the limits are what they were.
    first.lookup(first.identity.name)
    status = reload()
    assert status["limits"]["connections"] == 64 and status["addressLimit"] == 8
    relay.session(identity=first.identity).close()
    relay.session("carol").close()
    # No limits by address at all.
    status = reload(limit=["connections=1"], address_limit="off")
    assert "addressLimit" not in status
    others = [relay.session("dave") for _ in range(4)]
    assert met("address") == 1
    for session in (first, second, *others):
        session.close()
