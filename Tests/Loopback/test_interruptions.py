# SPDX-License-Identifier: Apache-2.0
"""The table of docs/interruptions.md, row by row: who is cut, how, for how long, what each side says, how it ends."""

import contextlib
import dataclasses
import pathlib
import re
import signal
import time
from typing import Any

import pytest

from harness import content
from harness.executables import REPOSITORY
from harness.forwarder import Forwarder
from harness.relay import Person, Relay
from harness.waiting import until

SIZE = 300_000_000
HEAD = ["who", "how", "for how long", "alice says", "bob says", "alice ends", "bob ends"]


def rows():
    """The rows of the document, as lists of cells."""
    lines = (REPOSITORY / "docs/interruptions.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table[0] == HEAD, table[0]
    return table[2:]


def parameters():
    """Each row as a test; those that take more than a minute by the clock are long."""
    for row in rows():
        marks = [pytest.mark.long] if re.fullmatch(r"\d+ s", row[2]) else []
        yield pytest.param(row, id="-".join(row[:3]).replace(" ", "_").replace("`", ""), marks=marks)


@dataclasses.dataclass
class Scene:
    """Alice sends bob a file through forwarders of their own, and it is in the middle."""

    relay: Relay
    alice: Person
    bob: Person
    lines: dict[str, Forwarder]
    file: pathlib.Path
    timeout: list[str]
    sending: Any = None
    receiving: Any = None

    def begin(self):
        """Bob receives, alice sends, bytes flow."""
        self.receiving = self.receive()
        self.sending = self.send()
        until(lambda: content.largest(self.bob.inbox) >= SIZE // 10, 30, "a part of the file")
        return self

    def receive(self, **options):
        return self.bob.receive("--server", self.lines["receiver"].url, **options)

    def send(self):
        return self.alice.send(self.bob, "--server", self.lines["sender"].url, *self.timeout, self.file)

    def process(self, who):
        return {"sender": self.sending, "receiver": self.receiving, "relay": self.relay.process}[who]

    def told(self, who):
        """The other side has noticed."""
        other = self.sending if who == "receiver" else self.receiving
        other.wait_for("again", 60)

    def killed(self, who, duration):
        self.process(who).kill()
        if who == "relay":
            self.relay.start(self.relay.port)
        elif who == "sender":
            self.told(who)
            self.sending = self.send()
        elif duration.startswith("started"):
            self.told(who)
            self.receiving = self.receive(ready=False)


def cut(number):
    """Cuts connection `number` of a side; None is all of them."""
    return lambda scene, who, duration: scene.lines[who].cut(number)


def stopped(scene, who, duration):
    """The process sleeps for so long as the row says: it is the time that counts."""
    scene.process(who).signal(signal.SIGSTOP)
    time.sleep(int(duration.split()[0]))
    scene.process(who).signal(signal.SIGCONT)


def silent(scene, who, duration):
    """Nothing of what the side says arrives any more, and then it is back on other connections."""
    line = scene.lines[who]
    for number in range(line.count):
        line.mute(number)
    time.sleep(int(duration.split()[0]))
    line.cut()


HOW = {
    "all connections cut": cut(None),
    # The first connection is that of control, the second that of the bytes.
    "control connection cut": cut(0),
    "data connection cut": cut(1),
    "killed": Scene.killed,
    "Ctrl-C": lambda scene, who, duration: scene.process(who).signal(signal.SIGINT),
    "stopped (SIGSTOP)": stopped,
    "nothing it says arrives": silent,
}


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """(the file, its digest)"""
    path = tmp_path_factory.mktemp("film") / "report.pdf"
    yield path, content.file(path, "interruptions", SIZE)
    path.unlink()


@pytest.mark.parametrize("row", list(parameters()))
def test_a_row_of_the_table(own_relay, large, film, row):
    who, how, duration, alice_says, bob_says, alice_ends, bob_ends = row
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    timeout = re.search(r"`--timeout (\w+)`", duration)
    with contextlib.ExitStack() as stack:
        lines = {side: stack.enter_context(Forwarder(relay.address)) for side in ("sender", "receiver")}
        scene = Scene(relay, alice, bob, lines, film[0], ["--timeout", timeout[1]] if timeout else []).begin()
        HOW[how](scene, who, duration)
        for process, says, ends in ((scene.sending, alice_says, alice_ends), (scene.receiving, bob_says, bob_ends)):
            assert process.wait(120) == int(ends), process.tail()
            at = 0
            names = re.sub(r"\b(alice|bob)\b", lambda name: {"alice": alice, "bob": bob}[name[0]].name, says)
            for text in re.findall(r"`([^`]+)`", names):
                found = process.err().find(text, at)
                assert found >= 0, f"{text!r} behind {at}\n{process.tail()}"
                at = found + len(text)
    # A process that was killed leaves its part file behind.
    stored = [name for name in bob.received() if not name.endswith(b".part")]
    if bob_ends == "0":
        assert stored == [b"report.pdf"], stored
        assert content.sha256(bob.inbox / "report.pdf") == film[1]
    else:
        assert not stored


def test_every_row_can_be_walked():
    assert {row[1] for row in rows()} == set(HOW) and {row[0] for row in rows()} == {"sender", "receiver", "relay"}
