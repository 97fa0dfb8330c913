# SPDX-License-Identifier: Apache-2.0
"""A new operator's way from the packages to the first file between two machines, by the commands of docs/install.md."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

from harness.executables import REPOSITORY

PACKAGES = REPOSITORY / ".build-package"
NAME = "relay.example.com"
#: Each machine's network, with the relay's end of it first: they reach the relay, and not each other.
NETWORKS = {"alice": ("10.80.1.1", "10.80.1.2"), "bob": ("10.80.2.1", "10.80.2.2")}
#: Within how many seconds a new operator is there, packages and all; 40 to 46 were seen.
MOST = 120
SUDO = '#!/bin/sh\nexec "$@"\n'


class Failed(AssertionError):
    """A step of the way did not work."""


def blocks() -> dict[str, list[str]]:
    """The commands of docs/install.md, by the heading that they are under."""
    found: dict[str, list[str]] = {}
    heading = ""
    text = (REPOSITORY / "docs/install.md").read_text(encoding="utf-8")
    for part in re.split(r"^(## [^\n]*|```sh\n.*?^```)$", text, flags=re.M | re.S):
        if part.startswith("## "):
            heading = part[3:]
        elif part.startswith("```sh"):
            found.setdefault(heading, []).append(part[6:-3].strip())
    return found


class Machine:
    """A root of a suite of its own, and a network of its own."""

    def __init__(self, name: str, root: pathlib.Path) -> None:
        self.name, self.root = name, root
        subprocess.run(["ip", "netns", "add", self.network], check=True)
        self.words("ip", "link", "set", "lo", "up")

    @property
    def network(self) -> str:
        """The name of its network."""
        return f"relay-prove-{os.getpid()}-{self.name}"

    def words(self, *words: str) -> None:
        """Runs a program of this system in the machine's network."""
        subprocess.run(["ip", "netns", "exec", self.network, *words], check=True)

    def command(self, script: str, *, online: bool = False) -> list[str]:
        """What runs a script in the machine; `online` has this system's network, for apt."""
        inside = (
            f"mount --make-rprivate / && mount --rbind /dev {self.root}/dev && mount -t proc proc {self.root}/proc && "
            f"exec chroot {self.root} env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "
            f"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -euc {shlex.quote('cd; ' + script)}"
        )
        there = [] if online else ["ip", "netns", "exec", self.network]
        return [*there, "unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", inside]

    def run(self, script: str, *, online: bool = False) -> str:
        """Runs a script to its end; returns what it printed."""
        done = subprocess.run(
            self.command(script, online=online),
            check=False,
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        if done.returncode != 0:
            raise Failed(f"{self.name}: {script}\n{done.stdout}{done.stderr}")
        return done.stdout

    def remove(self) -> None:
        """Takes the network down."""
        subprocess.run(["ip", "netns", "del", self.network], check=False)


@contextlib.contextmanager
def machines(suite: str, folder: pathlib.Path) -> Iterator[dict[str, Machine]]:
    """The relay's machine, and those of two people who reach it and nothing else."""
    made: dict[str, Machine] = {}
    try:
        for name in ("relay", *NETWORKS):
            root = folder / name
            subprocess.run(["cp", "-a", PACKAGES / "roots" / suite, root], check=True)
            (root / "usr/local/bin/sudo").write_text(SUDO)
            (root / "usr/local/bin/sudo").chmod(0o755)
            program = "relay-server" if name == "relay" else "relay-client"
            debian = {"bookworm": 12, "trixie": 13}[suite]
            for package in PACKAGES.glob(f"{program}_*-1+deb{debian}_*.deb"):
                shutil.copy(package, root / "root")
            made[name] = Machine(name, root)
        for number, (name, (near, far)) in enumerate(NETWORKS.items()):
            ends = [f"rp{os.getpid()}{side}{number}" for side in "rc"]
            subprocess.run(["ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1]], check=True)
            for end, machine, address in zip(ends, (made["relay"], made[name]), (near, far), strict=True):
                subprocess.run(["ip", "link", "set", end, "netns", machine.network], check=True)
                machine.words("ip", "addr", "add", f"{address}/24", "dev", end)
                machine.words("ip", "link", "set", end, "up")
            (made[name].root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{near} {NAME}\n")
        yield made
    finally:
        for machine in made.values():
            machine.remove()


def lines(said: str) -> list[str]:
    """What an invited person is told to type."""
    return [line.strip() for line in said.splitlines() if re.match(r" {4}(?:curl|openssl|RELAY_INVITE=)", line)]


def arrives(alice: Machine, bob: Machine, receive: str, send: str) -> bool:
    """Whether a file that alice sends is the one that bob receives."""
    alice.run("head -c 5000000 /dev/urandom >report.pdf")
    receiving = subprocess.Popen(bob.command("mkdir -p Downloads; " + receive))
    try:
        alice.run(send)
        if receiving.wait(60) != 0:
            raise Failed("bob did not receive it")
    finally:
        receiving.kill()
    sent, got = (each.root / "root" / path for each, path in ((alice, "report.pdf"), (bob, "Downloads/report.pdf")))
    return sent.read_bytes() == got.read_bytes()


def proved(suite: str, folder: pathlib.Path, tell: Callable[[str], None]) -> bool:
    """Goes the way, and says how long each part of it took."""
    steps = blocks()
    begun = mark = time.monotonic()

    def took(what: str) -> None:
        nonlocal mark
        now = time.monotonic()
        tell(f"{now - mark:7.1f} s  {what}")
        mark = now

    with machines(suite, folder) as made:
        relay, alice, bob = made["relay"], made["alice"], made["bob"]
        took("three machines (not a part of the way)")
        begun = mark
        for machine in made.values():
            machine.run("apt-get update -q", online=True)
        install, setup = steps["The relay"][0].splitlines()
        relay.run(install.replace("install", "install -y -q"), online=True)
        took("the relay's package is installed")
        said = relay.run(setup)
        start = re.search(r"To start it: (.*)", said)
        if start is None:
            raise Failed(f"setup does not say how to start the relay:\n{said}")
        server = subprocess.Popen(relay.command(start.group(1)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            code = ""
            while not code:
                if server.poll() is not None or time.monotonic() - mark > 30:
                    raise Failed("the relay does not run")
                with contextlib.suppress(Failed):
                    code = relay.run(steps["The relay"][1]).strip()
            took("the relay is set up and runs")
            first = lines(said)
            second = [re.sub(r"RELAY_INVITE=\S+", f"RELAY_INVITE={code}", line) for line in first]
            for machine, typed in ((alice, first), (bob, second)):
                machine.run(steps["Each person"][0].replace("install", "install -y -q"), online=True)
                curl, openssl, login = typed
                machine.run(curl)
                shown = machine.run(openssl).strip().partition("=")[2]
                if not shown or shown not in said:
                    raise Failed(f"the fingerprint {shown} is not the one of the invitation")
                machine.run(login.replace("--name NAME", f"--name {machine.name}"))
            took("two people have installed the client and come in")
            good = arrives(alice, bob, *steps["Each person"][1:3])
            took("the first file has arrived" if good else "THE FILE IS ANOTHER ONE")
        finally:
            # Newer versions of unshare take no other signal while their child runs, which ends with them.
            server.kill()
            server.wait(60)
    return in_time(time.monotonic() - begun, tell) and good


def in_time(seconds: float, tell: Callable[[str], None]) -> bool:
    """Whether all of it has taken as long as it may."""
    good = seconds <= MOST
    tell(f"{'' if good else 'PROBLEM  '}{seconds:.1f} s in all, {MOST} s at most")
    return good
