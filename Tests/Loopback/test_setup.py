# SPDX-License-Identifier: Apache-2.0
"""`relay-server setup`: from nothing to a relay that people can come into."""

import getpass
import json
import os
import re
import signal
import stat
import subprocess

import pytest

from harness import certificates
from harness.executables import clean_environment
from harness.processes import Process

NAME = "localhost"


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
    # The invited person's lines, as they stand there, with the port that the system has chosen.
    script = "\n".join(line.strip() for line in said.splitlines() if re.match(r" +(?:curl|openssl|RELAY_INVITE)", line))
    script = script.replace(f"https://{NAME}:0", url)
    lines = script.splitlines()
    assert [line.split()[0].partition("=")[0] for line in lines] == ["curl", "openssl", "RELAY_INVITE"]
    environment = {**env, "PATH": f"{binaries}:{os.environ['PATH']}", "RELAY_PROFILE": str(tmp_path / "alice")}
    outputs = [
        subprocess.run(
            ["bash", "-c", line], check=True, cwd=tmp_path, env=environment, timeout=30, capture_output=True, text=True
        ).stdout
        for line in lines
    ]
    assert outputs[1].strip().partition("=")[2] in said
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
