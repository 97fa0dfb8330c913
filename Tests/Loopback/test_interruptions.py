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
from harness.listener import closed_port
from harness.proxy import Proxy
from harness.relay import Person, Relay
from harness.waiting import until

SIZE = 300_000_000
#: How a side ends that does not: it waits when the other has ended, and has heard nothing of that.
WAITS = "waits"
HEAD = ["who", "how", "for how long", "alice says", "bob says", "alice ends", "bob ends"]


def rows():
    """The rows of the document, as lists of cells."""
    lines = (REPOSITORY / "docs/interruptions.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert table[0] == HEAD, table[0]
    return table[2:]


def parameters():
    """Each row as a test; those that take more than a minute by the clock, which no setting shortens, are slow."""
    for row in rows():
        marks = [pytest.mark.slow, pytest.mark.timeout(300)] if re.fullmatch(r"\d+ s", row[2]) else []
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
    proxy: Proxy | None
    #: The side that is behind the proxy, if there is one.
    proxied: str
    sending: Any = None
    receiving: Any = None

    def begin(self):
        """Bob receives, alice sends, bytes flow."""
        self.receiving = self.receive()
        self.sending = self.send()
        until(lambda: content.largest(self.bob.inbox) >= SIZE // 10, 30, "a part of the file")
        return self

    def receive(self, **options):
        return self.bob.receive(*self.way("receiver", options), **options)

    def send(self):
        options: dict[str, Any] = {}
        return self.alice.send(self.bob, *self.way("sender", options), *self.timeout, self.file, **options)

    def way(self, who, options):
        """The arguments, and options of the process, that lead a side to the relay."""
        if self.proxy and self.proxied == who:
            options["env"] = {"HTTPS_PROXY": f"http://127.0.0.1:{self.proxy.port}"}
            return ()
        return ("--server", self.lines[who].url)

    def process(self, who):
        return {"sender": self.sending, "receiver": self.receiving, "relay": self.relay.process}[who]

    def told(self, who):
        """The other side has noticed."""
        other = self.sending if who == "receiver" else self.receiving
        other.wait_for("again|it goes on when", 60)

    def killed(self, who, duration):
        self.process(who).kill()
        if who == "relay":
            if duration.startswith("started"):
                self.relay.start(self.relay.port)
        elif who == "sender":
            self.told(who)
            self.sending = self.send()
        elif duration.startswith("started"):
            self.told(who)
            self.receiving = self.receive(ready=False)

    def away(self, who):
        """The side loses its connections and gets no others, and the other side has noticed."""
        line = self.lines[who]
        line.target = (line.host, closed_port())
        line.cut()
        self.told(who)
        self.process(who).wait_for("reconnecting", 20)

    def back(self, who):
        """The side is there again, once the other has ended."""
        other = self.sending if who == "receiver" else self.receiving
        other.wait(60)
        self.lines[who].target = self.relay.address


def away(scene, who, duration):
    """Away for a while, or for longer than the sender goes on."""
    scene.away(who)
    if duration.startswith("back"):
        scene.lines[who].target = scene.relay.address
    elif who == "receiver":
        scene.back(who)


def left_while_away(scene, who, duration):
    """Ctrl-C between two tries; the other side is not told."""
    scene.away(who)
    scene.process(who).signal(signal.SIGINT)


def unheard(scene, who, duration):
    """The file arrives, the receiver's word of it does not, and then the receiver is away for too long."""
    line = scene.lines[who]
    line.mute(0)
    until(lambda: b"report.pdf" in scene.bob.received(), 30, "the file")
    scene.away(who)


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
    "proxy resets all tunnels": lambda scene, who, duration: scene.proxy.reset(),
    "away": away,
    "away, then Ctrl-C": left_while_away,
    "what it says is lost, then gone": unheard,
    "killed": Scene.killed,
    "Ctrl-C": lambda scene, who, duration: scene.process(who).signal(signal.SIGINT),
    "stopped (SIGSTOP)": stopped,
    "nothing it says arrives": silent,
}


def says_all(process, texts):
    """Whether all of it stands in what the process has said, in this order."""
    at = 0
    for text in texts:
        found = process.err().find(text, at)
        if found < 0:
            return False
        at = found + len(text)
    return True


#: What a person takes for the state or the end of a transfer.
VERDICT = re.compile(
    r"was cut|interrupted it|is gone|gave up|send it again|sends it again|try again|not delivered|not received"
    r"|did not come back|delivered|received|declined|quicker|keeps what came|kept what came"
)


def unaccounted(process, texts):
    """The lines that say how a transfer stands, and that the row does not name."""
    lines = [line for line in process.err().splitlines() if VERDICT.search(line)]
    return [
        line
        for line in lines
        if not any(text in line for text in texts if text != "delivered" or "not delivered" not in line)
    ]


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """(the file, its digest)"""
    path = tmp_path_factory.mktemp("film") / "report.pdf"
    yield path, content.file(path, "interruptions", SIZE)
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("row", list(parameters()))
def test_an_interruption_ends_as_its_row_of_the_table_says(own_relay, large, film, row):
    who, how, duration, alice_says, bob_says, alice_ends, bob_ends = row
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    timeout = re.search(r"`--timeout (\w+)`", duration)
    with contextlib.ExitStack() as stack:
        lines = {side: stack.enter_context(Forwarder(relay.address)) for side in ("sender", "receiver")}
        proxy = stack.enter_context(Proxy()) if how.startswith("proxy") else None
        scene = Scene(
            relay, alice, bob, lines, film[0], ["--timeout", timeout[1]] if timeout else [], proxy, who
        ).begin()
        HOW[how](scene, who, duration)
        for process, says, ends in ((scene.sending, alice_says, alice_ends), (scene.receiving, bob_says, bob_ends)):
            texts = re.findall(r"`([^`]+)`", says)
            texts = [
                re.sub(r"\b(alice|bob)\b", lambda name: {"alice": alice, "bob": bob}[name[0]].name, each)
                for each in texts
            ]
            if ends == WAITS:
                until(
                    lambda process=process, texts=texts: says_all(process, texts),
                    30,
                    lambda process=process: process.tail(),
                )
                assert process.running()
                process.kill()
            else:
                assert process.wait(120) == int(ends), process.tail()
                assert says_all(process, texts), f"{texts}\n{process.tail()}"
            assert not unaccounted(process, texts), f"{texts}\n{process.tail()}"
    # What is not whole is kept for a later attempt.
    stored = bob.stored()
    if "`received`" in bob_says:
        assert stored == [b"report.pdf"], stored
        assert content.sha256(bob.inbox / "report.pdf") == film[1]
    else:
        assert not stored


def test_every_kind_of_interruption_is_in_the_table():
    assert {row[1] for row in rows()} == set(HOW) and {row[0] for row in rows()} == {"sender", "receiver", "relay"}
