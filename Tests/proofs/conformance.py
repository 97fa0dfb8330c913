# SPDX-License-Identifier: Apache-2.0
"""Suites that others wrote, against a relay: tlsfuzzer beside an nginx, slowhttptest with transfers beside, testssl.sh.

tlsfuzzer is fetched when it is run, or absent; nothing of it is here. The measure for it is an nginx on the same
OpenSSL, with the same settings: what fails there as well is OpenSSL's answer, and not a relay's.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from harness.certificates import Certificates
from harness.executables import REPOSITORY, clean_environment
from harness.pairs import Pair
from harness.processes import Process
from harness.relay import Relay
from harness.waiting import until

PACKAGES = ("nginx", "openssl", "slowhttptest", "testssl.sh")
Tell = Callable[[str], None]

TLSFUZZER = "https://github.com/tlsfuzzer/tlsfuzzer"
TLSLITE = "tlslite-ng==0.9.0b2"
#: Scripts of TLS 1.2 take ciphers of CBC for granted, which neither side here has.
C = ("-C", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
SCRIPTS: dict[str, tuple[str, ...]] = {
    "tls13-conversation": (),
    "tls13-ccs": (),
    "tls13-finished": (),
    "tls13-finished-plaintext": (),
    "tls13-empty-alert": (),
    "tls13-zero-length-data": (),
    "tls13-zero-content-type": (),
    "tls13-keyupdate": (),
    "tls13-unrecognised-groups": (),
    "tls13-connection-abort": (),
    "tls13-version-negotiation": C,
    "tls13-record-layer-limits": (),
    "tls13-record-padding": (),
    # Its choice is another one each time: all of them.
    "tls13-large-number-of-extensions": ("-n", "0"),
    "tls13-0rtt-garbage": (),
    "tls13-multiple-ccs-messages": (),
    "tls13-invalid-ciphers": (),
    "tls13-keyshare-omitted": (),
    "tls13-shuffled-extentions": (),
    "tls13-unencrypted-alert": (),
    "tls13-crfg-curves": (),
    "tls13-nociphers": (),
    "tls13-obsolete-curves": (),
    "tls13-signature-algorithms": (),
    "sslv2-connection": (),
    "renegotiation-disabled": C,
    "conversation": C,
    "fuzzed-ciphertext": C,
    "truncating-of-client-hello": C,
    "early-application-data": C,
    "interleaved-application-data-and-fragmented-handshakes-in-renegotiation": C,
    "version-numbers": C,
    "invalid-compression-methods": C,
    "invalid-client-hello-w-record-overflow": C,
    "invalid-content-type": C,
    "record-layer-fragmentation": C,
    "ecdhe-rsa-key-exchange-with-bad-messages": C,
    "zero-length-data": C,
    "ccs": C,
    "connection-abort": C,
    "interleaved-CKE-with-CCS": C,
    "point-extension": C,
    "hello-request-by-client": C,
    "aes-gcm-nonces": C,
    "cve-2016-6309": C,
    "cve-2004-0079": C,
}
#: Where a script has more, so many are taken at random: the same for both servers.
PROBES = 30
#: What is random in a script, its choice of probes too, follows from a seed.
SEEDED = """
import random, runpy, sys
random.seed(int(sys.argv[1]))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SCRIPT_SECONDS = 240

#: Honest people are at another address than what is slow: a node has a limit for each.
HONEST = "127.0.0.77"
#: So many connections are below what an address may have before a login, and so many are above it.
FEW, MANY, LIMIT = 50, 200, 64
SLOW_SECONDS = 50
#: In which way, and how many seconds later none of it is open any more: a handshake has 10 s, and a head as many; what
#: comes behind a refusal is listened to for 30 s, so that no reset eats the answer.
MODES = {
    "H": ("heads that do not end", 22),
    "B": ("bodies that do not come", 42),
    "X": ("answers that are not read", 42),
}
# A transfer of a MiB that takes longer was held up by something.
TRANSFER_SECONDS = 3


class Absent(Exception):
    """A suite cannot be had here."""


@dataclasses.dataclass
class Ran:
    """What a script of tlsfuzzer said about one server."""

    total: int
    failed: set[str]


def rsa(folder: pathlib.Path) -> Certificates:
    """A certificate of RSA: tlsfuzzer's scripts of TLS 1.2 want one. It is its own authority."""
    folder.mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", folder / "server.key", "-out", folder / "server.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    shutil.copy(folder / "server.pem", folder / "ca.pem")
    return Certificates(folder)


def nginx(certs: Certificates, folder: pathlib.Path) -> tuple[Process, int]:
    """An nginx with the settings of cluster/recipes/nginx-tls.conf.in that are about TLS, and a page."""
    sys.path.insert(0, str(REPOSITORY / "cluster"))
    from runner import system
    from runner.recipe import found

    recipe = (REPOSITORY / "cluster/recipes/nginx-tls.conf.in").read_text()
    lines = re.findall(r"^\s*(ssl_(?:protocols|ciphers|ecdh_curve)\s[^;]+;)", recipe, re.MULTILINE)
    assert len(lines) == 3, lines
    port = system.Port()
    folder.mkdir()
    config = folder / "nginx.conf"
    temporary = "".join(f"{each}_temp_path {folder};" for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(
        f"pid {folder}/nginx.pid; error_log stderr crit; events {{}}\n"
        f"http {{ access_log off; {temporary}\n server {{ listen {port} ssl; ssl_certificate {certs.chain};\n"
        f"  ssl_certificate_key {certs.key};\n  {' '.join(lines)}\n  location / {{ return 200 'ok'; }} }} }}\n"
    )
    settings = "daemon off; master_process off;" + (" user root root;" if os.geteuid() == 0 else "")
    command = [str(found("nginx")), "-e", "stderr", "-c", str(config), "-g", settings]
    process = Process(command, env=clean_environment(folder), folder=folder / "logs", name="nginx")
    return process, port.number


def fetched(folder: pathlib.Path) -> pathlib.Path:
    """A checkout of tlsfuzzer: that which RELAY_TLSFUZZER names, or a new one."""
    named = os.environ.get("RELAY_TLSFUZZER")
    if named:
        return pathlib.Path(named)
    done = subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", TLSFUZZER, folder / "tlsfuzzer"],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
    )
    if done.returncode != 0:
        raise Absent(f"{TLSFUZZER} cannot be fetched (RELAY_TLSFUZZER names a checkout): {done.stderr.strip()[-200:]}")
    return folder / "tlsfuzzer"


def python(folder: pathlib.Path) -> pathlib.Path:
    """A Python with the TLS stack that tlsfuzzer wants, which is a newer one than the tests have."""
    made = folder / "venv"
    done = subprocess.run(
        [sys.executable, "-m", "venv", made], check=False, capture_output=True, text=True, timeout=120
    )
    if done.returncode == 0:
        pip = [str(made / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", TLSLITE]
        done = subprocess.run(pip, check=False, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Absent(f"{TLSLITE} cannot be installed: {done.stderr.strip()[-200:]}")
    return made / "bin/python"


def ran(interpreter: pathlib.Path, checkout: pathlib.Path, script: str, port: int, seed: int) -> Ran:
    """One script against one server."""
    try:
        done = subprocess.run(
            [
                *(interpreter, "-c", SEEDED, str(seed), f"scripts/test-{script}.py"),
                *("-h", "localhost", "-p", str(port), "-n", str(PROBES)),
                *SCRIPTS[script],
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=SCRIPT_SECONDS,
            cwd=checkout,
            env=os.environ | {"PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
        )
    except subprocess.TimeoutExpired:
        return Ran(0, {f"no end within {SCRIPT_SECONDS} s"})
    total = re.search(r"^TOTAL: (\d+)", done.stdout, re.MULTILINE)
    if not total:
        return Ran(0, {f"it did not run: {(done.stderr or done.stdout).strip()[-200:]}"})
    listed = done.stdout.partition("\nFAILED:\n")[2]
    failed = set(re.findall(r"^\t'?(.*?)'?$", listed.partition("\n===")[0], re.MULTILINE)) - {""}
    # What cannot be read from it is a failure as well.
    return Ran(int(total[1]), failed or ({f"exit status {done.returncode}"} if done.returncode else set()))


def tlsfuzzer(binaries: pathlib.Path, folder: pathlib.Path, seed: int, tell: Tell) -> Iterator[str]:
    """Every script against both; yields what fails at the relay alone."""
    checkout, interpreter = fetched(folder), python(folder)
    certs = rsa(folder / "certs")
    relay = Relay(binaries, certs, folder / "relay", registration="open", level="notice").start()
    process, port = nginx(certs, folder / "nginx")
    until(lambda: process.running() and _listens(port), 20, "nginx listens")
    commit = subprocess.run(
        ["git", "-C", checkout, "rev-parse", "--short", "HEAD"], check=False, capture_output=True, text=True, timeout=10
    ).stdout.strip()
    tell(f"tlsfuzzer {commit}\n{'script':44}{'probes':>8}{'relay':>8}{'nginx':>8}")
    probes = both = 0
    for script in SCRIPTS:
        here, there = (ran(interpreter, checkout, script, each, seed) for each in (relay.port, port))
        probes, both = probes + here.total, both + len(here.failed & there.failed)
        tell(f"{script[:42]:44}{here.total:>8}{len(here.failed):>8}{len(there.failed):>8}")
        for name in sorted(here.failed - there.failed):
            yield f"{script}: {name}"
    tell(f"{probes} probes; {both} fail at both")
    relay.healthy()
    relay.stop()


def _listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Honest:
    """Transfers of a MiB, one after the other, from an address of their own."""

    def __init__(self, relay: Relay) -> None:
        self.relay, self.seconds, self.problems = relay, list[float](), list[str]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            before = time.monotonic()
            try:
                with Pair(self.relay, source=HONEST) as pair:
                    pair.whole(1 << 20)
            except (AssertionError, OSError) as error:
                self.problems.append(f"a transfer beside failed: {str(error)[:200]}")
            self.seconds.append(time.monotonic() - before)
            self._over.wait(0.2)

    def end(self) -> list[float]:
        """How long each took."""
        self._over.set()
        self._thread.join(60)
        return sorted(self.seconds)


class Counted:
    """How many connections of 127.0.0.1 a relay has, each half second."""

    def __init__(self, port: int) -> None:
        self.port, self.counts = port, list[tuple[float, int]]()
        self._over, self._begun = threading.Event(), time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        command = ["ss", "-Htn", "state", "established", "sport", "=", f":{self.port}", "dst", "127.0.0.1"]
        while not self._over.wait(0.5):
            listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
            self.counts.append((time.monotonic() - self._begun, listed.count("\n")))

    def end(self) -> tuple[int, float]:
        """(the most at any time, when there was one for the last time)."""
        self._over.set()
        self._thread.join(30)
        return max(count for _, count in self.counts), max((at for at, count in self.counts if count), default=0)


def slow(binaries: pathlib.Path, folder: pathlib.Path, _seed: int, tell: Tell) -> Iterator[str]:
    """Three ways to be slow, with fewer and with more connections than an address may have."""
    from harness import certificates

    certs = certificates.made(folder / "certs")
    # The product's own limit: most tests have another, since all of their people are at one address.
    options = ("--address-limit", "8")
    relay = Relay(binaries, certs, folder / "relay", registration="open", arguments=options).start()
    with Pair(relay, source=HONEST) as pair:
        pair.whole(1 << 20)
    descriptors = relay.descriptors()
    tell(f"{'mode':32}{'connections':>12}{'most open':>10}{'last open':>11}{'transfers':>10}{'longest':>9}")
    for mode, (what, most_seconds) in MODES.items():
        for count in (FEW, MANY):
            honest, counted = Honest(relay), Counted(relay.port)
            command = ["slowhttptest", f"-{mode}", "-c", str(count), "-i", "2", "-r", "100", "-l", str(SLOW_SECONDS)]
            command += ["-p", "5", "-u", f"https://127.0.0.1:{relay.port}/"]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SLOW_SECONDS + 60)
            taken, (most, last) = honest.end(), counted.end()
            said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
            tell(f"{mode}: {what:29}{count:>12}{most:>10}{last:>9.1f} s{len(taken):>10}{taken[-1]:>7.2f} s")
            problems = honest.problems
            if taken[-1] > TRANSFER_SECONDS:
                problems.append(f"a transfer beside took {taken[-1]:.1f} s")
            if last > most_seconds:
                problems.append(f"connections were open after {last:.0f} s")
            # The probe of the service is one more, and those that are refused are there for a moment. What is answered
            # at once is not there for long.
            least = 0 if mode == "X" else count if count < LIMIT else LIMIT // 2
            if not least <= most + 1 <= max(FEW, LIMIT) + 2:
                problems.append(f"{most} connections of one address were open")
            if count < LIMIT and ("available:   YES" not in said or "available:   NO" in said):
                problems.append("the service was not there for the same address")
            yield from (f"-{mode} {count}: {each}" for each in problems)
    until(lambda: relay.descriptors() <= descriptors, 30, lambda: f"{relay.descriptors()} of {descriptors}")
    relay.healthy()
    relay.stop()


def testssl(binaries: pathlib.Path, folder: pathlib.Path, _seed: int, tell: Tell) -> Iterator[str]:
    """What testssl.sh finds, of severity medium and above, but for what every certificate of one's own has."""
    from harness import certificates

    certs = certificates.made(folder / "certs")
    relay = Relay(binaries, certs, folder / "relay", registration="open").start()
    report = folder / "testssl.json"
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if program is None:
        raise Absent("testssl.sh is not installed")
    subprocess.run(
        [
            *(program, "--fast", "--quiet", "--color", "0", "--warnings", "off", "--add-ca", certs.ca),
            *("-oJ", report, f"localhost:{relay.port}"),
        ],
        check=False,
        capture_output=True,
        timeout=600,
    )
    text = report.read_text()
    found = [each for each in _findings(json.loads(text)) if each.get("severity") in ("MEDIUM", "HIGH", "CRITICAL")]
    # An authority of one's own says nothing of revocation; that the client chooses the cipher is Mozilla's advice.
    own = {"cert_revocation", "OCSP_stapling", "cert_crlDistributionPoints", "cert_ocspURL", "cipher_order"}
    tell(f"testssl.sh: {len(list(_findings(json.loads(text))))} findings, {len(found)} of severity medium or above")
    for each in found:
        if each["id"].partition(" ")[0] not in own:
            yield f"{each['id']}: {each['finding']}"
    relay.stop()


def _findings(report: object) -> Iterator[dict[str, str]]:
    """All findings in the report, which is nested."""
    if isinstance(report, dict):
        if "severity" in report and "id" in report:
            yield report
        for each in report.values():
            yield from _findings(each)
    elif isinstance(report, list):
        for each in report:
            yield from _findings(each)


SUITES: dict[str, Callable[[pathlib.Path, pathlib.Path, int, Tell], Iterator[str]]] = {
    "tlsfuzzer": tlsfuzzer,
    "slow": slow,
    "testssl": testssl,
}


def proved(names: list[str], binaries: pathlib.Path, folder: pathlib.Path, seed: int, tell: Tell) -> bool:
    """Runs the suites, or those that are named; one that is absent fails only where it is named."""
    unknown = set(names) - set(SUITES)
    assert not unknown, f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}"
    good, absent = True, []
    for name in names or SUITES:
        tell(f"\n== {name}")
        place = folder / name
        place.mkdir()
        try:
            for problem in SUITES[name](binaries, place, seed, tell):
                good = False
                tell(f"PROBLEM  {problem}")
        except Absent as why:
            absent.append(name)
            tell(f"ABSENT   {why}")
            good = good and name not in names
    if absent:
        tell(f"\nnothing was shown by {', '.join(absent)}, absent here")
    return good and len(absent) < len(names or SUITES)
