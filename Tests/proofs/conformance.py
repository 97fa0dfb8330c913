# SPDX-License-Identifier: Apache-2.0
"""Suites that others wrote, against a relay: tlsfuzzer beside an nginx, slowhttptest with transfers beside, testssl.sh;
and those that are process tests, each by its name.

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

from . import faults, running
from .running import Absent

#: What each suite needs of Debian.
PACKAGES = {
    "tlsfuzzer": ("git", "nginx", "openssl"),
    "slow": ("slowhttptest", "ss:iproute2"),
    "testssl": ("testssl.sh",),
    "balancers": ("haproxy", "nginx", "openssl"),
}
#: Those that are process tests: of which file, and which of its functions (all without one).
TESTS = {
    "autobahn": ("Conformance/test_autobahn.py", ""),
    "sslyze": ("Conformance/test_tls.py", "test_sslyze_finds_mozilla_intermediate"),
    "negatives": ("Conformance/test_tls_negatives.py", ""),
    "vectors": ("Conformance/test_http_vectors.py", ""),
    "balancers": ("Conformance/test_vectors_through.py", ""),
}
#: Those whose programs have an environment of their own, and what makes that.
ENVIRONMENTS = {
    "autobahn": (".build-venv-autobahn", "scripts/test processes, with a Python 2.7 on the PATH or in ~/.pyenv"),
    "sslyze": (".build-venv-sslyze", "scripts/test processes"),
}
#: In seconds: all tests of one file.
TESTING = 1200
Tell = Callable[[str], None]

TLSFUZZER = "https://github.com/tlsfuzzer/tlsfuzzer"
#: Of January 2026: a newer one may have other scripts.
COMMIT = "14555fe211456c46deccc4b2d94751dbd894aece"
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
    # A connection has 30 messages of TLS's own at once, and one a second: what asks for 32 new keys at once is ended,
    # unless the machine is slow enough. Conformance/test_tls.py has keys that change between data.
    "tls13-keyupdate": ("-e", "multiple KeyUpdate messages"),
    # A handshake brings two tickets, as OpenSSL does by itself, and one resumes.
    "tls13-count-tickets": ("-t", "2"),
    "tls13-session-resumption": ("-d", "--tls1.2-cipher", C[1]),
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
#: For so long transfers are alone first; half of those beside may take so many times what half of these took, or so
#: many seconds more: below that a machine that runs both cannot tell one from the other.
QUIET_SECONDS, TIMES, MORE_SECONDS = 8, 2, 0.25
#: testssl.sh has more findings of any server that it could look at.
FEWEST_FINDINGS = 100
SEVERE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN")
#: An authority of one's own says nothing of revocation; that the client chooses the cipher is Mozilla's advice.
OWN = {"cert_revocation", "OCSP_stapling", "cert_crlDistributionPoints", "cert_ocspURL", "cipher_order"}
#: Warnings of testssl.sh about the OpenSSL that it runs with, and not about a server, by what they are of.
BENIGN = {
    "engine_problem": "No engine or GOST support via engine with your",
    "RC4": "not supported by local OpenSSL",
}
#: What it says of the resumption of sessions, also where its client has gone before the ticket has come, as on a busy
#: machine: then it looks again.
UNCONNECTED = "WARN: check failed because of connect problem"
TRIES = 3


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
    """A checkout of tlsfuzzer: that which RELAY_TLSFUZZER names, or one of the commit, which is kept in .build."""
    if named := os.environ.get("RELAY_TLSFUZZER"):
        return pathlib.Path(named)
    kept, checkout = REPOSITORY / ".build/tlsfuzzer", folder / "tlsfuzzer"
    if (kept / ".git").is_dir() and _git("-C", kept, "rev-parse", "HEAD").stdout.strip() == COMMIT:
        state = _git("-C", kept, "status", "--porcelain")
        if state.returncode == 0 and not state.stdout:
            return kept
    for words in (
        ("init", "--quiet", checkout),
        ("-C", checkout, "fetch", "--quiet", "--depth", "1", TLSFUZZER, COMMIT),
        ("-C", checkout, "checkout", "--quiet", "FETCH_HEAD"),
    ):
        done = _git(*words)
        if done.returncode != 0:
            why = " ".join(done.stderr.split())[:200]
            raise Absent(f"{TLSFUZZER} at {COMMIT} cannot be fetched; set RELAY_TLSFUZZER to a checkout of it ({why})")
    shutil.rmtree(kept, ignore_errors=True)
    kept.parent.mkdir(exist_ok=True)
    shutil.move(checkout, kept)
    return kept


def _git(*words: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(["git", *words], check=False, capture_output=True, text=True, timeout=300, env=environment)


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


def worse(here: Ran, there: Ran) -> Iterator[str]:
    """What fails at the relay alone; where either was not probed at all, or fails what each script does first to see
    that it is understood, nothing is shown."""
    if not here.total or not there.total:
        said = [
            f"{name} {', '.join(sorted(each.failed)) or 'no probes'}"
            for name, each in (("relay", here), ("nginx", there))
            if not each.total
        ]
        yield f"not run: {'; '.join(said)}"
    elif "sanity" in here.failed:
        yield f"sanity: nothing is shown{', at nginx neither' if 'sanity' in there.failed else ''}"
    else:
        yield from sorted(here.failed - there.failed)


def tlsfuzzer(binaries: pathlib.Path, folder: pathlib.Path, seed: int, tell: Tell) -> Iterator[str]:
    """Every script against both; yields what fails at the relay alone."""
    checkout, interpreter = fetched(folder), python(folder)
    certs = rsa(folder / "certs")
    relay = Relay(binaries, certs, folder / "relay", registration="open", level="notice").start()
    process, port = nginx(certs, folder / "nginx")
    until(lambda: process.running() and _listens(port), 20, "nginx listens")
    commit = _git("-C", checkout, "rev-parse", "HEAD").stdout.strip()
    another = "" if commit == COMMIT else f", and not {COMMIT[:12]}"
    tell(f"tlsfuzzer {commit[:12] or 'of no commit'}{another}\n{'script':44}{'probes':>8}{'relay':>8}{'nginx':>8}")
    probes = both = 0
    for script in SCRIPTS:
        here, there = (ran(interpreter, checkout, script, each, seed) for each in (relay.port, port))
        probes, both = probes + here.total, both + len(here.failed & there.failed)
        tell(f"{script[:42]:44}{here.total:>8}{len(here.failed):>8}{len(there.failed):>8}")
        yield from (f"{script}: {each}" for each in worse(here, there))
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
        if not self._thread.is_alive():
            self.problems.append("transfers beside were not made any more")
        self._over.set()
        self._thread.join(60)
        if self._thread.is_alive():
            self.problems.append("a transfer beside did not end")
        if not self.seconds:
            self.problems.append("no transfer beside ended")
        return sorted(self.seconds)


class Counted:
    """How many connections of 127.0.0.1 a relay has, each half second."""

    def __init__(self, port: int) -> None:
        self.port, self.counts, self.problems = port, list[tuple[float, int]](), list[str]()
        self._over, self._begun = threading.Event(), time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        command = ["ss", "-Htn", "state", "established", "sport", "=", f":{self.port}", "dst", "127.0.0.1"]
        while not self._over.wait(0.5):
            try:
                listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout
            except (OSError, subprocess.SubprocessError) as error:
                self.problems.append(f"connections were not counted: {error}")
                return
            self.counts.append((time.monotonic() - self._begun, listed.count("\n")))

    def end(self) -> tuple[int, float]:
        """(the most at any time, when there was one for the last time)."""
        self._over.set()
        self._thread.join(30)
        if not self.counts and not self.problems:
            self.problems.append("connections were not counted")
        return max((count for _, count in self.counts), default=0), max(
            (at for at, count in self.counts if count), default=0
        )


def middle(seconds: list[float]) -> float:
    """What half of them, which are sorted, took at most."""
    return seconds[len(seconds) // 2]


def held_up(quiet: list[float], beside: list[float]) -> Iterator[str]:
    """How transfers were held up, by how long each took alone and beside what is slow; both are sorted."""
    if not beside:
        return
    if beside[-1] > TRANSFER_SECONDS:
        yield f"a transfer beside took {beside[-1]:.1f} s"
    before, now = middle(quiet), middle(beside)
    if now > max(TIMES * before, before + MORE_SECONDS):
        yield f"half of the transfers beside took more than {now:.2f} s, and {before:.2f} s alone"


def slow(binaries: pathlib.Path, folder: pathlib.Path, _seed: int, tell: Tell) -> Iterator[str]:
    """Three ways to be slow, with fewer and with more connections than an address may have."""
    from harness import certificates

    certs = certificates.made(folder / "certs")
    # The product's own limit: most tests have another, since all of their people are at one address.
    options = ("--address-limit", "8")
    relay = Relay(binaries, certs, folder / "relay", registration="open", arguments=options).start()
    with Pair(relay, source=HONEST) as pair:
        pair.whole(1 << 20)
    alone = Honest(relay)
    time.sleep(QUIET_SECONDS)
    quiet = alone.end()
    yield from (f"before anything was slow: {each}" for each in alone.problems)
    if not quiet:
        return
    descriptors = relay.descriptors()
    tell(f"{len(quiet)} transfers alone, half of them within {middle(quiet):.2f} s, the longest {quiet[-1]:.2f} s")
    tell(f"{'mode':32}{'connections':>12}{'most open':>10}{'last open':>11}{'transfers':>10}{'half':>9}{'longest':>9}")
    beside, open_at_once, open_last, wrong = list[float](), 0, 0.0, 0
    for mode, (what, most_seconds) in MODES.items():
        for count in (FEW, MANY):
            honest, counted = Honest(relay), Counted(relay.port)
            command = ["slowhttptest", f"-{mode}", "-c", str(count), "-i", "2", "-r", "100", "-l", str(SLOW_SECONDS)]
            command += ["-p", "5", "-u", f"https://127.0.0.1:{relay.port}/"]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SLOW_SECONDS + 60)
            taken, (most, last) = honest.end(), counted.end()
            said = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout)
            half, longest = (middle(taken), taken[-1]) if taken else (0.0, 0.0)
            tell(f"{mode}: {what:29}{count:>12}{most:>10}{last:>9.1f} s{len(taken):>10}{half:>7.2f} s{longest:>7.2f} s")
            problems = [*honest.problems, *counted.problems, *held_up(quiet, taken)]
            if "Exit status" not in said:
                problems.append(f"slowhttptest ended with {done.returncode}: {said.strip()[-200:]!r}")
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
            beside, wrong = [*beside, *taken], wrong + len(problems)
            open_at_once, open_last = max(open_at_once, most), max(open_last, last)
    until(lambda: relay.descriptors() <= descriptors, 30, lambda: f"{relay.descriptors()} of {descriptors}")
    relay.healthy()
    relay.stop()
    tell(
        f"{len(MODES)} ways to be slow, {FEW} and {MANY} connections: at most {open_at_once} of an address open, the "
        f"last after {open_last:.1f} s; {_beside(quiet, sorted(beside))}; {wrong} problems"
    )


def _beside(quiet: list[float], beside: list[float]) -> str:
    """How long transfers took, where there were any; both are sorted."""
    if not beside:
        return "no transfer beside"
    return (
        f"{len(beside)} transfers beside, half of them within {middle(beside):.2f} s ({middle(quiet):.2f} s alone), "
        f"the longest {beside[-1]:.2f} s"
    )


def testssl(binaries: pathlib.Path, folder: pathlib.Path, _seed: int, tell: Tell) -> Iterator[str]:
    """What testssl.sh finds, of severity medium and above, but for what every certificate of one's own has."""
    from harness import certificates

    certs = certificates.made(folder / "certs")
    relay = Relay(binaries, certs, folder / "relay", registration="open").start()
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    if program is None:
        raise Absent("testssl.sh is not installed")
    problems, done = list[str](), list[dict[str, str]]()
    for number in range(TRIES):
        report = folder / f"testssl-{number}.json"
        subprocess.run(
            [
                *(program, "--fast", "--quiet", "--color", "0", "--warnings", "off", "--add-ca", certs.ca),
                *("-oJ", report, f"localhost:{relay.port}"),
            ],
            check=False,
            capture_output=True,
            timeout=600,
        )
        done = list(_reported(report))
        problems = list(unexpected(done))
        if not problems or any(not each.endswith(UNCONNECTED) for each in problems):
            break
    yield from problems
    tell(f"testssl.sh, try {number + 1} of {TRIES}: {figures(done)}")
    relay.healthy()
    relay.stop()


def figures(findings: list[dict[str, str]]) -> str:
    """How many there are, and how many of those that matter are listed here with a reason."""
    severe = [each for each in findings if each.get("severity") in SEVERE]
    told = [each for each in severe if not _is_listed(each)]
    return (
        f"{len(findings)} findings; of severity medium or above, or warnings: {len(severe) - len(told)} listed with "
        f"their reason, {len(told)} others"
    )


def _is_listed(finding: dict[str, str]) -> bool:
    id = finding["id"].partition(" ")[0]
    if finding["severity"] != "FATAL" and id in OWN:
        return True
    return finding["severity"] == "WARN" and bool(re.search(BENIGN.get(id, "$^"), finding.get("finding", "")))


def unexpected(findings: list[dict[str, str]]) -> Iterator[str]:
    """What may not be among the findings of testssl.sh; and where there are too few, it has not looked."""
    if len(findings) < FEWEST_FINDINGS:
        yield f"testssl.sh has {len(findings)} findings, {FEWEST_FINDINGS} at least when it has looked at all"
    for each in findings:
        if each.get("severity") in SEVERE and not _is_listed(each):
            yield f"{each['id']}: {each['severity']}: {each.get('finding')}"


def _reported(report: pathlib.Path) -> Iterator[dict[str, str]]:
    assert report.is_file(), "testssl.sh has written no report"
    try:
        yield from _findings(json.loads(report.read_text()))
    except ValueError as error:
        raise AssertionError(f"the report of testssl.sh cannot be read: {error}") from error


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


def tested(name: str) -> Callable[[pathlib.Path, pathlib.Path, int, Tell], Iterator[str]]:
    """A suite that is a file of process tests, or one function of it."""

    def run(binaries: pathlib.Path, folder: pathlib.Path, _seed: int, tell: Tell) -> Iterator[str]:
        file, function = TESTS[name]
        environment, maker = ENVIRONMENTS.get(name, ("", ""))
        if not (REPOSITORY / environment).is_dir():
            raise Absent(f"there is no {environment}: {maker} makes it")
        report, log = folder / "report.xml", folder / "log"
        command = [sys.executable, "-m", "pytest", "-q", "--junitxml", report]
        test = f"{REPOSITORY / 'Tests' / file}{'::' if function else ''}{function}"
        status = running.ended([*command, test], log, TESTING, {"RELAY_BIN": str(binaries)})
        if status is None:
            yield f"{file} was not over after {TESTING} s"
        elif not report.is_file():
            yield f"{file} did not run: {log.read_text(errors='replace').strip()[-400:]}"
        else:
            yield from outcome(name, faults.results([report], faults.excuses()), status, tell)

    return run


def outcome(name: str, found: dict[str, faults.Result], status: int, tell: Tell) -> Iterator[str]:
    """What failed of the tests of a suite; Absent where none of them could be run."""
    failed = [f"{test}: {each}" for test, result in found.items() for each in result.failed]
    passed = sum(each.passed for each in found.values())
    excused = sum(each.excused for each in found.values())
    yield from failed
    if not passed and not failed and excused:
        raise Absent(f"{TESTS[name][0]} was skipped, for a reason that Tests/skips.txt has")
    if not failed and (status or not passed):
        yield f"{TESTS[name][0]} ended with {status}, and {passed} tests have passed"
    tell(f"{name}: {passed} tests passed, {len(failed)} failed" + (f", {excused} skipped" if excused else ""))


SUITES: dict[str, Callable[[pathlib.Path, pathlib.Path, int, Tell], Iterator[str]]] = {
    "tlsfuzzer": tlsfuzzer,
    "slow": slow,
    "testssl": testssl,
    **{name: tested(name) for name in TESTS},
}


def proved(names: list[str], binaries: pathlib.Path, folder: pathlib.Path, seed: int, tell: Tell) -> bool:
    """Runs the suites, or those that are named. One that is absent is told; where it was asked for, or where nothing
    else was run, the proof is Absent, unless something has failed."""
    unknown = set(names) - set(SUITES)
    assert not unknown, f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}"
    good, absent = True, {}
    for name in names or SUITES:
        tell(f"\n== {name}")
        place = folder / name
        place.mkdir()
        try:
            running.required(*PACKAGES.get(name, ()))
            for problem in SUITES[name](binaries, place, seed, tell):
                good = False
                tell(f"PROBLEM  {problem}")
        except Absent as why:
            absent[name] = str(why)
        except (AssertionError, subprocess.SubprocessError) as error:
            # The others are run all the same.
            good = False
            tell(f"PROBLEM  {name}: {error}")
    if good and absent and (names or len(absent) == len(SUITES)):
        raise Absent("; ".join(f"{name}: {reason}" for name, reason in absent.items()))
    for name, reason in absent.items():
        tell(f"ABSENT   {name}: {reason}")
    return good
