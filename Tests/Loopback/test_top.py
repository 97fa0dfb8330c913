# SPDX-License-Identifier: Apache-2.0
"""What `relay-server status` and `relay-server top` show."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
import xml.etree.ElementTree

import pytest

from harness.executables import REPOSITORY
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import background, until


@pytest.mark.slow
def test_top_shows_who_sends_to_whom_how_fast_and_for_how_long(own_relay):
    relay = own_relay(registration="open")
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing(10_000_000)
        upload.send(b"x" * 1000)
        wait_for_bytes(download, 1000)
        looking = background(relay.command, "top", "--once", "--json")
        for _ in range(20):
            upload.send(b"x" * 1000)
            time.sleep(0.1)
        look = json.loads(looking.result(20).stdout)
        (transfer,) = look["transfers"]
        assert transfer["transfer"] == offer.transfer and transfer["state"] == "streaming"
        assert transfer["from"] == pair.sender.identity.name and transfer["to"] == pair.receiver.identity.name
        assert transfer["node"] == look["node"] == "n1" and 0 <= transfer["age"] < 30
        assert 1000 <= transfer["bytes"] <= 21_000 and 1000 <= transfer["rate"] <= 21_000
        assert look["rate"] == transfer["rate"]
        assert {session["name"]: session["receiving"] for session in look["sessions"]} == {
            pair.sender.identity.name: False,
            pair.receiver.identity.name: True,
        }
        assert look["figures"]["streaming"] == 1 and look["figures"]["sessions"] == 2
        table = relay.command("top", "--once").stdout
        assert re.search(rf"(?m)^{offer.transfer} .* streaming .*/s .* n1$", table), table
        assert "1 run, 0 begin, 0 ring, 0 wait; 0 delivered, 0 failed" in table
        status = json.loads(relay.command("status", "--json").stdout)
        assert status["figures"]["bytesToReceivers"] == 21_000 and status["figures"]["descriptorLimit"] > 100
        assert re.search(r"(?m)^bytes +21\.0 kB to receivers, 0 B to other nodes$", relay.command("status").stdout)


def test_top_fits_a_terminal_and_draws_itself_anew(own_relay):
    relay = own_relay(registration="open")
    rows, columns = 12, 70
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(relay.binaries / "relay-server", ["relay-server", "top", "--state-dir", str(relay.state)])
    try:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        seen = b""

        def read():
            nonlocal seen
            if select.select([terminal], [], [], 0.05)[0]:
                seen += os.read(terminal, 65536)
            return seen.count(b"\x1b[J") >= 3

        until(read, 20, lambda: seen)
    finally:
        os.kill(pid, 15)
        os.waitpid(pid, 0)
        os.close(terminal)
    for look in seen.decode().split("\x1b[H")[2:-1]:
        lines = look.partition("\x1b[J")[0].replace("\x1b[K", "").split("\r\n")
        assert lines[0].startswith("relay-server n1  serving") and len(lines) < rows
        assert all(len(line) <= columns for line in lines)


def test_top_says_when_no_server_runs(own_relay):
    relay = own_relay(registration="open")
    relay.stop()
    gone = relay.command("top", "--once")
    assert gone.returncode == 69 and "no relay-server runs" in gone.stderr and not gone.stdout


@pytest.mark.slow
def test_the_picture_of_the_documents_is_drawn_from_a_real_run(binaries, tmp_path):
    picture = tmp_path / "top.svg"
    done = subprocess.run(
        [REPOSITORY / "scripts/picture-top", "--bin", binaries, picture],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for path in (picture, REPOSITORY / "docs/top.svg"):
        text = "\n".join(xml.etree.ElementTree.fromstring(path.read_text(encoding="utf-8")).itertext())
        assert "TRANSFER" in text and "alice" in text and re.search(r"MB/s", text), text
        assert path.stat().st_size < 20_000
