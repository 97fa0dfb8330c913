# SPDX-License-Identifier: Apache-2.0
"""`relay-server setup`: from nothing to a relay that people can come into."""

import contextlib
import getpass
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import stat
import subprocess

import pytest

from harness import certificates
from harness.executables import clean_environment
from harness.measure import is_gone
from harness.processes import Process
from harness.terminal import Terminal

NAME = "localhost"
UNIT = "relay-server.service"


@pytest.fixture
def setup(binaries, tmp_path):
    """Runs `relay-server setup` for this user, in a folder of its own."""

    def run(*arguments, name=NAME, ok=True):
        words = [
            *("setup", "--config", tmp_path / "etc/server.json", "--user", getpass.getuser()),
            *("--state-dir", tmp_path / "state", "--listen", "127.0.0.1:0", *arguments),
        ]
        if name:
            words += ["--public-name", name]
        done = subprocess.run(
            [binaries / "relay-server", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=clean_environment(tmp_path),
        )
        assert (done.returncode == 0) == ok, done
        return done

    return run


def mode(path):
    """The permissions of a file."""
    return stat.S_IMODE(os.stat(path).st_mode)


def contents(folder):
    """All files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def come_in(said, url, binaries, folder):
    """The invited person's lines, as setup printed them, with the port that the system has chosen."""
    script = "\n".join(line.strip() for line in said.splitlines() if re.match(r" +(?:curl|openssl|RELAY_INVITE)", line))
    lines = script.replace(f"https://{NAME}:0", url).splitlines()
    assert [line.split()[0].partition("=")[0] for line in lines] == ["curl", "openssl", "RELAY_INVITE"]
    environment = clean_environment(folder, RELAY_PROFILE=folder / "alice")
    environment["PATH"] = f"{binaries}:{environment['PATH']}"
    outputs = [
        subprocess.run(
            ["bash", "-c", line], check=True, cwd=folder, env=environment, timeout=30, capture_output=True, text=True
        ).stdout
        for line in lines
    ]
    assert outputs[1].strip().partition("=")[2] in said


def test_what_setup_prints_is_enough_to_come_in(setup, binaries, tmp_path):
    folder = tmp_path / "etc"
    said = setup("--invite", "alice").stdout
    assert {path.name for path in folder.iterdir()} == {"ca.key", "ca.pem", "server.json", "server.key", "server.pem"}
    assert mode(folder / "ca.key") == 0o600
    assert [mode(folder / name) for name in ("server.json", "server.key")] == [0o640, 0o640]
    env = clean_environment(tmp_path)
    server = Process([binaries / "relay-server", "serve", "--config", folder / "server.json"], env=env, folder=tmp_path)
    found = server.wait_for(r"address=(\S+) purpose=https", 20)
    url = f"https://{found.group(1).replace('127.0.0.1', NAME)}"
    come_in(said, url, binaries, tmp_path)
    assert (tmp_path / "ca.pem").read_bytes() == (folder / "ca.pem").read_bytes()
    # And the running relay is asked for the next one.
    assert "RELAY_INVITE=" in setup().stdout
    server.signal(signal.SIGTERM)
    assert server.wait(20) == 0


def test_again_changes_nothing_and_force_keeps_the_authority(setup, tmp_path):
    folder = tmp_path / "etc"
    setup()
    first = contents(folder)
    again = setup()
    assert contents(folder) == first and "stays as it is" in again.stdout
    setup("--force")
    second = contents(folder)
    assert {name for name in first if first[name] != second[name]} == {"server.pem", "server.key"}
    assert second["server.pem"].endswith(first["ca.pem"])


def test_the_packages_configuration_is_completed(setup, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/server.json").write_text('{"registration": "closed", "listen": ["127.0.0.1:1"]}')
    setup()
    settings = json.loads((tmp_path / "etc/server.json").read_text())
    assert settings["registration"] == "closed" and settings["listen"] == ["127.0.0.1:0"]
    assert settings["tls-cert"] == str(tmp_path / "etc/server.pem")


def test_a_certificate_of_another_authority_is_copied_and_renewed(setup, tmp_path):
    given = certificates.made(tmp_path / "given")
    files = ("--tls-cert", given.chain, "--tls-key", given.key)
    said = setup(*files).stdout
    folder = tmp_path / "etc"
    assert (folder / "server.key").read_bytes() == given.key.read_bytes()
    assert not (folder / "ca.key").exists() and "curl" not in said and "--renew" in said
    newer = certificates.made(tmp_path / "newer")
    setup("--tls-cert", newer.chain, "--tls-key", newer.key, "--renew")
    assert (folder / "server.pem").read_bytes() == newer.chain.read_bytes()
    # What does not belong together takes nothing's place.
    before = contents(folder)
    assert setup("--tls-cert", given.chain, "--tls-key", newer.key, "--renew", ok=False).returncode == 78
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("arguments", "name", "status", "said"),
    [
        ((), None, 64, "--public-name is missing"),
        ((), "two words", 64, "neither a host name nor an address"),
        (("--tls-cert", "x"), NAME, 64, "go together"),
        (("--certbot", "--tls-cert", "x"), NAME, 64, "leave --tls-cert"),
        (("--renew",), NAME, 64, "--renew needs"),
        (("--certbot",), "nowhere.invalid", 78, "/etc/letsencrypt/live/nowhere.invalid"),
        (("--user", "no-such-user"), NAME, 78, "there is no user no-such-user"),
    ],
)
def test_mistakes_are_said_and_write_nothing(setup, tmp_path, arguments, name, status, said):
    done = setup(*arguments, name=name, ok=False)
    assert done.returncode == status and said in done.stderr, done
    assert not (tmp_path / "etc/server.json").exists() and not (tmp_path / "etc/server.pem").exists()


def test_a_certificate_for_another_name_is_refused(setup, tmp_path):
    given = certificates.made(tmp_path / "given")
    files = ("--tls-cert", given.chain, "--tls-key", given.key)
    done = setup(*files, name="other.example", ok=False)
    assert done.returncode == 78 and "is not for other.example" in done.stderr
    assert not (tmp_path / "etc/server.json").exists() and not (tmp_path / "etc/server.pem").exists()


def test_a_damaged_configuration_is_not_overwritten(setup, tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/server.json").write_text("{")
    assert setup(ok=False).returncode == 78
    assert setup("--force", ok=False).returncode == 78
    assert (tmp_path / "etc/server.json").read_text() == "{"


class Machine:
    """What setup sees of a machine with systemd and a unit: an /etc of its own, and a systemctl that is told what to
    do, notes it, and runs a relay."""

    def __init__(self, binaries, folder, units="systemd/system", below="/etc"):
        self.binaries, self.folder, self.etc = binaries, folder, folder / "etc"
        self.units, self.below = units, below
        self.etc.mkdir()
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "hosts"):
            shutil.copy(f"/etc/{name}", self.etc)
        for name in ("alternatives", "ssl"):
            shutil.copytree(f"/etc/{name}", self.etc / name, symlinks=True, ignore=shutil.ignore_patterns("private"))
        (self.etc / "relay").mkdir()
        server = shlex.quote(str(binaries / "relay-server"))
        (folder / "bin").mkdir()
        (folder / "bin/systemctl").write_text(f"""#!/bin/sh
export RELAY_METRICS_LISTEN=off RELAY_ADDRESS_LIMIT=100
cd {shlex.quote(str(folder))} && echo "$*" >>told
start() {{
    [ -e relay.pid ] ||
        {server} --config /etc/relay/server.json --daemonize --pid-file relay.pid --log-file relay.log
}}
[ ! -e broken ] || exit 1
case "$*" in
"enable {UNIT}") ;;
"enable --now {UNIT}") start ;;
"restart {UNIT}")
    [ ! -e relay.pid ] || {server} drain --config /etc/relay/server.json
    for _ in $(seq 300); do [ ! -e relay.pid ] || sleep 0.1; done
    start ;;
"try-reload-or-restart {UNIT}") {server} reload --config /etc/relay/server.json ;;
*) exit 5 ;;
esac
""")
        (folder / "bin/systemctl").chmod(0o755)

    def command(self, *words):
        """What runs a program there, as root."""
        unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        script = (
            'mount --bind "$1" /etc; mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system; '
            # There is no other unit than this.
            '[ "$2" = /etc ] || mount -t tmpfs tmpfs "$2"; mkdir -p "$2/$3"; touch "$2/$3/relay-server.service"; '
            'shift 3; exec "$@"'
        )
        return [*unshare, "sh", "-ec", script, "sh", self.etc, self.below, self.units, *words]

    @property
    def environment(self):
        """The environment there."""
        return {**clean_environment(self.folder), "PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"}

    def words(self, *arguments):
        """The command line of setup."""
        options = ("--user", "root", "--state-dir", self.folder / "state", "--listen", "127.0.0.1:0")
        return self.command(self.binaries / "relay-server", "setup", *options, *arguments)

    def setup(self, *arguments, status=0):
        """Runs setup to its end; returns what it said."""
        done = subprocess.run(
            self.words("--public-name", NAME, *arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env=self.environment,
        )
        assert done.returncode == status, done
        return done.stdout + done.stderr

    def asking(self):
        """Setup at a terminal, told no name; returns (the terminal, the process)."""
        terminal = Terminal()
        logs = self.folder / "logs"
        asked = Process(
            self.words(), env=self.environment, folder=logs, stdin=terminal.slave, stderr=terminal.slave, name="setup"
        )
        return terminal, asked

    def told(self):
        """What systemctl was told since the last time, each without the unit's name."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "told").read_text().splitlines()
            (self.folder / "told").unlink()
            assert all(line.endswith(f" {UNIT}") for line in lines), lines
            return [line.removesuffix(f" {UNIT}") for line in lines]
        return []

    @property
    def pid(self):
        """The relay that runs; None when there is none."""
        path = self.folder / "relay.pid"
        return int(path.read_text()) if path.exists() else None

    @property
    def url(self):
        """The address of the relay that runs."""
        found = re.findall(r"address=(\S+) purpose=https", (self.folder / "relay.log").read_text())
        return f"https://{found[-1].replace('127.0.0.1', NAME)}"

    def shows(self):
        """The certificate that the relay shows."""
        port = int(self.url.rpartition(":")[2])
        return ssl.get_server_certificate(("127.0.0.1", port), timeout=10).strip()

    def certbot(self, given):
        """Puts a certificate where certbot puts one: a link to the newest of several."""
        live, archive = (self.etc / "letsencrypt" / name / NAME for name in ("live", "archive"))
        for folder in (live, archive):
            folder.mkdir(parents=True, exist_ok=True)
        number = len(list(archive.iterdir())) // 2 + 1
        for name, source in (("fullchain", given.chain), ("privkey", given.key)):
            shutil.copy(source, archive / f"{name}{number}.pem")
            (live / f"{name}.pem").unlink(missing_ok=True)
            (live / f"{name}.pem").symlink_to(f"../../archive/{NAME}/{name}{number}.pem")


@pytest.fixture
def machine(binaries, tmp_path):
    """A machine with systemd."""
    made = Machine(binaries, tmp_path)
    yield made
    if pid := made.pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def first(path):
    """The first certificate of a chain."""
    return path.read_text().partition("-----END CERTIFICATE-----")[0].strip() + "\n-----END CERTIFICATE-----"


def test_setup_starts_the_service(machine, binaries, tmp_path):
    said = machine.setup("--invite", "alice")
    assert machine.told() == ["enable", "restart"]
    assert "The relay runs: systemctl status relay-server" in said and "setpriv" not in said
    come_in(said, machine.url, binaries, tmp_path)
    begun = machine.pid
    # Once more: it only looks to it that the service runs, and the relay that runs makes the invitation.
    again = machine.setup("--invite", "bob")
    assert machine.told() == ["enable --now"] and machine.pid == begun
    assert "The relay runs" in again and "--name bob" in again
    machine.setup("--force")
    assert machine.told() == ["enable", "restart"] and is_gone(begun) and machine.pid != begun
    assert machine.shows() == first(machine.etc / "relay/server.pem")


@pytest.mark.parametrize(("below", "units"), [("/usr/lib/systemd", "system"), ("/usr/local/lib", "systemd/system")])
def test_units_of_packages_and_archives_are_found(binaries, tmp_path, below, units):
    machine = Machine(binaries, tmp_path, units, below)
    (tmp_path / "broken").touch()
    machine.setup(status=69)
    assert machine.told() == ["enable"]


def test_a_service_that_does_not_start_is_said(machine):
    (machine.folder / "broken").touch()
    said = machine.setup(status=69)
    assert f"systemctl enable {UNIT} failed: journalctl -u relay-server says why" in said
    assert machine.told() == ["enable"] and "RELAY_INVITE" not in said
    (machine.folder / "broken").unlink()
    assert "RELAY_INVITE" in machine.setup() and machine.told() == ["enable --now"]


def test_no_start_leaves_the_service_alone(machine):
    said = machine.setup("--no-start")
    assert machine.told() == [] and "The relay is not started" in said and "RELAY_INVITE" in said


def test_certbots_certificate_is_taken_and_renewed(machine, tmp_path):
    given, newer = (certificates.made(tmp_path / name) for name in ("given", "newer"))
    machine.certbot(given)
    said = machine.setup("--certbot")
    assert machine.told() == ["enable", "restart"] and machine.shows() == first(given.chain)
    assert "curl" not in said and not (machine.etc / "relay/ca.key").exists()
    assert mode(machine.etc / "relay/server.key") == 0o640
    begun = machine.pid
    # As certbot runs it after each renewal.
    (hook,) = re.findall(r"^    relay-server (setup .* --renew)$", said, flags=re.M)
    words = machine.command(machine.binaries / "relay-server", *shlex.split(hook), "--user", "root")
    machine.certbot(newer)
    subprocess.run(words, check=True, timeout=30, env=machine.environment, capture_output=True)
    assert machine.told() == ["try-reload-or-restart"]
    assert machine.shows() == first(newer.chain) and machine.pid == begun
    # A relay that does not take it is no success.
    (machine.folder / "broken").touch()
    done = subprocess.run(words, check=False, timeout=30, env=machine.environment, capture_output=True, text=True)
    assert done.returncode == 69 and "the relay did not take it: journalctl -u relay-server says why" in done.stderr


def test_it_asks_for_what_it_was_not_told(machine, tmp_path):
    machine.certbot(certificates.made(tmp_path / "given"))
    terminal, asked = machine.asking()
    for question, answers, last in (
        (
            "Name that people reach the relay by",
            {"two words": "neither a host name nor an address", "": "missing"},
            NAME,
        ),
        (f"certbot has a certificate for {NAME}. Shall the relay use it? [Y/n]", {"x": "y or n, please"}, "n"),
        ("Name of the first person to invite (empty: any):", {"Alice": 'did you mean "alice"?'}, "alice"),
    ):
        terminal.wait_for(question)
        for answer, complaint in answers.items():
            terminal.type(f"{answer}\n")
            terminal.wait_for(complaint)
        terminal.type(f"{last}\n")
    asked.expect(0, 60)
    assert machine.told() == ["enable", "restart"]
    assert "--name alice" in asked.out() and "The relay runs" in asked.out()
    # The answer was no: it has made one.
    assert (machine.etc / "relay/ca.pem").exists() and machine.shows() == first(machine.etc / "relay/server.pem")


def test_nothing_typed_is_a_yes_and_any_name(machine, tmp_path):
    given = certificates.made(tmp_path / "given")
    machine.certbot(given)
    terminal, asked = machine.asking()
    for question, answer in (("reach the relay by", NAME), ("[Y/n]", ""), ("first person", "")):
        terminal.wait_for(question)
        terminal.type(f"{answer}\n")
    asked.expect(0, 60)
    assert machine.shows() == first(given.chain)
    assert f"--public-name {NAME} --certbot --renew" in asked.out() and "--name NAME" in asked.out()


def test_the_end_of_what_is_typed_is_said(machine, tmp_path):
    terminal, asked = machine.asking()
    terminal.wait_for("reach the relay by")
    terminal.type("\x04")
    asked.expect(64, 30)
    terminal.wait_for("nothing was typed for: Name that people reach the relay by")
    assert machine.told() == [] and not (machine.etc / "relay/server.json").exists()
