# SPDX-License-Identifier: Apache-2.0
"""The unit tests, and process tests, with both programs built for a sanitizer: AddressSanitizer with LeakSanitizer, and
ThreadSanitizer.

What a sanitizer has to say goes into files of its own, one for each process, so that no report is lost with the output
of a program whose test does not look at it, or that a test has killed. What is known and is not this package's is in
Tests/proofs/sanitized, an entry each with its reason. That all of this can find something is shown first, with faults
that are planted into a program of their own.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree
from collections.abc import Callable, Iterable, Iterator

from harness.executables import REPOSITORY

from . import running

SANITIZED = REPOSITORY / "Tests/proofs/sanitized"
#: What is run of the process tests: transfers of files, folders and lists, one relay and several nodes, those who do
#: not behave, and processes that are replaced. None that measure memory or time: a sanitizer needs more of both.
PROCESS_TESTS = (
    "Loopback/test_transfers.py",
    "Loopback/test_trees.py",
    "Loopback/test_content.py",
    "Loopback/test_cuts.py",
    "Loopback/test_damaged_parts.py",
    "Loopback/test_lost_answers.py",
    "Loopback/test_many.py",
    "Loopback/test_pull.py",
    "Loopback/test_restart.py",
    "Loopback/test_reload.py",
    "Loopback/test_stopping.py",
    "Loopback/test_daemon.py",
    "Loopback/test_proxy.py",
    "Loopback/test_bad_input.py",
    "Loopback/test_hostile_manifests.py",
    "Loopback/test_hostile_requests.py",
    "Loopback/test_hostile_sharers.py",
    "Conformance/test_hostile_clients.py",
    "Conformance/test_http_vectors.py",
    "Conformance/test_requests.py",
    "Conformance/test_sealed_peers.py",
    "Conformance/test_tokens.py",
    "Conformance/test_websocket.py",
    "Cluster/test_crossing_notes.py",
    "Cluster/test_crossing_requests.py",
    "Cluster/test_crossing_streams.py",
    "Cluster/test_dead_nodes.py",
    "Cluster/test_forgeries.py",
    "Cluster/test_pull_across.py",
    "Cluster/test_stopping_nodes.py",
)
#: What is in those files and needs the speed of a build without a sanitizer.
LEFT_OUT = (
    # Many files, entries, receivers or requesters: minutes with a sanitizer.
    "Loopback/test_trees.py::test_a_folder_of_many_files_arrives_as_it_was",
    "Loopback/test_hostile_manifests.py::test_a_manifest_of_very_many_entries_costs_no_memory",
    "Loopback/test_hostile_manifests.py::test_a_manifest_whose_records_never_end_with_a_chunk_costs_no_memory",
    "Loopback/test_hostile_sharers.py::test_a_listing_that_is_too_long_is_refused_in_words",
    "Loopback/test_many.py::test_the_proof_of_many_receivers_goes_to_its_end",
    "Loopback/test_many.py::test_a_receiver_of_standard_input_who_takes_nothing_is_dropped",
    "Loopback/test_many.py::test_one_send_after_the_other_meets_no_limit",
    "Loopback/test_pull.py::test_fifty_requesters_at_once_while_it_receives",
    # libfaketime, and a sanitizer, each want to be loaded first: the client does not get beyond its start.
    "Loopback/test_transfers.py::test_what_no_sender_came_back_for_is_removed_after_a_week",
    # 20,000 entries in 20 s.
    "Loopback/test_pull.py::test_a_long_listing",
    # A second is measured.
    "Loopback/test_cuts.py::test_a_receiver_fails_within_a_second_when_its_sender_ends_midway",
    # A balancer gives a check 200 ms.
    "Loopback/test_restart.py::test_a_balancer_never_sees_the_relay_down",
    # Answers may differ by two milliseconds.
    "Conformance/test_requests.py::test_a_requester_cannot_tell_whether_a_name_shares",
    # Four clients fill the buffers of the system in 30 s.
    "Conformance/test_requests.py::test_a_sharer_that_does_not_read_is_not_ended_by_requests",
)
#: Unit tests of which the same is true, as regular expressions.
UNIT_LEFT_OUT = (
    # Ten thousand users are to be added within the two seconds that Redis has for an answer.
    r"RedisUserDirectoryTests/traffic\(\)",
    # It goes through all states of the model in one thread, for longer than all others together.
    r"ClaimAndRoutingModelTests/noReachableStateBreaksAnInvariant",
)
MARKERS = "not large and not long and not alone"
#: In minutes: a build from nothing, all unit tests, all process tests.
LONGEST_BUILD, LONGEST_UNIT, LONGEST_PROCESSES = 60, 30, 60
#: In seconds: what only asks about what is built.
SHORT = 300


@dataclasses.dataclass(frozen=True)
class Sanitizer:
    """One of them."""

    name: str
    #: The folder of its build.
    scratch: str
    #: The symbol that a program has that is built for it.
    symbol: str
    #: By variable.
    settings: dict[str, tuple[str, ...]]
    #: The variable that takes suppressions, and the file.
    suppressing: tuple[str, pathlib.Path]
    #: What it has to find, and what it says then.
    planted: dict[str, str]
    #: What it must say nothing about.
    faultless: tuple[str, ...] = ("nothing",)
    #: How the programs are built for it. Optimized, a result can be passed on through a continuation that the runtime
    #: alone orders, which ThreadSanitizer reports as a race.
    configuration: str = "debug"
    #: C that is linked into every program.
    linked: pathlib.Path | None = None
    #: The functions of the sanitizer that it stands before.
    wrapped: tuple[str, ...] = ()

    def environment(self, reports: pathlib.Path) -> dict[str, str]:
        """What makes it write into that folder. A process that has begun is seen there by what it says about itself."""
        variables = {name: [*values] for name, values in self.settings.items()}
        variables[self.suppressing[0]] += [f"suppressions={self.suppressing[1]}", "print_suppressions=1"]
        logged = (f"log_path={reports}/report", "log_exe_name=1", "verbosity=1")
        return {
            name: ":".join([*values, *(logged if name != "LSAN_OPTIONS" else ())]) for name, values in variables.items()
        }


SANITIZERS = {
    each.name: each
    for each in (
        Sanitizer(
            "address",
            ".build-asan",
            "__asan_init",
            {"ASAN_OPTIONS": ("detect_leaks=1", "strict_string_checks=1"), "LSAN_OPTIONS": ()},
            ("LSAN_OPTIONS", SANITIZED / "leaks.txt"),
            {
                "overflow": "AddressSanitizer: heap-buffer-overflow",
                "use-after-free": "AddressSanitizer: heap-use-after-free",
                "double-free": "AddressSanitizer: attempting double-free",
                "leak": "LeakSanitizer: detected memory leaks",
                "cycle": "LeakSanitizer: detected memory leaks",
            },
            # As they are released, and several times as fast.
            configuration="release",
        ),
        Sanitizer(
            "thread",
            ".build-tsan",
            "__tsan_init",
            # A race is told only where the stack of the first access is still known: without the longest history, most
            # of the planted ones are not.
            # Where it handles these signals, it says so on standard error before it knows its log; AddressSanitizer
            # reports them.
            {
                "TSAN_OPTIONS": (
                    *("history_size=7", "second_deadlock_stack=1", "atexit_sleep_ms=100"),
                    *("handle_segv=0", "handle_sigbus=0", "handle_sigfpe=0"),
                )
            },
            ("TSAN_OPTIONS", SANITIZED / "threads.txt"),
            dict.fromkeys(("race", "task-race", "half-locked"), "ThreadSanitizer: (?:data|Swift access) race"),
            ("nothing", "locked"),
            linked=SANITIZED / "runtime.c",
            wrapped=("__tsan_external_write",),
        ),
    )
}

#: Where a report begins: also one of a sanitizer that could not do what it should.
REPORT = re.compile(
    r"^(?:==(?:[^=\n]+==){1,2})?(?:ERROR: (?:Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|FATAL: \w+Sanitizer"
    r"|\w+Sanitizer has encountered a fatal error|\w+Sanitizer:? CHECK failed)",
    re.MULTILINE,
)
BEGUN = re.compile(r"Running under ThreadSanitizer|AddressSanitizer Init done")
#: In what a sanitizer says at the end of a process: how often it has used an entry.
USED = re.compile(r"^\s*(\d+)\s+(?:\d+\s+)?(\S+)$", re.MULTILINE)
USED_BY_THREADS = re.compile(
    r"^(\d+)\s+(?:race|mutex|thread|signal|deadlock|called_from_lib|race_top):(\S+)", re.MULTILINE
)


class Failed(Exception):
    """Something that the proof needs does not work."""


@dataclasses.dataclass
class Seen:
    """What is in a folder of reports."""

    processes: int = 0
    #: Each kind of report once, with how many there were.
    reports: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    examples: dict[str, str] = dataclasses.field(default_factory=dict)
    suppressed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def add(self, text: str) -> None:
        """Takes what one process has said."""
        self.processes += bool(BEGUN.search(text))
        for report in reports_in(text):
            kind = kind_of(report)
            self.reports[kind] += 1
            self.examples.setdefault(kind, report)
        used = text.rpartition("Suppressions used:")
        for count, entry in [*USED.findall(used[2] if used[1] else ""), *USED_BY_THREADS.findall(text)]:
            self.suppressed[entry] += int(count)


def reports_in(text: str) -> Iterator[str]:
    """The reports of one process. Each leak is one of its own."""
    begins = [match.start() for match in REPORT.finditer(text)]
    for begin, end in itertools.pairwise([*begins, len(text)]):
        report = text[begin:end]
        leaks = re.split(r"^(?=(?:Direct|Indirect) leak of )", report, flags=re.MULTILINE)
        yield from leaks[1:] or [report]


def kind_of(report: str) -> str:
    """What two reports of the same have in common: the words, and the frames near the place."""
    lines = report.splitlines()
    head = re.sub(r"0x[0-9a-f]+|\d+", "N", lines[0]) if lines else ""
    frames = re.findall(r"^\s+#\d+ (?:0x[0-9a-f]+ in )?(\S+)", report, re.MULTILINE)
    return " ".join([head, *frames[:6]])


def seen(folder: pathlib.Path) -> Seen:
    """Reads all that sanitizers have written there."""
    result = Seen()
    for file in sorted(folder.glob("report*")):
        result.add(file.read_text("utf-8", "replace"))
    return result


def entries(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """The suppressions of a file, each with its reason: the comment right above it."""
    reason: list[str] = []
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#"):
            reason.append(line[1:].strip())
        else:
            if line:
                yield line, " ".join(reason)
            reason = []


def _run(
    command: Iterable[object], log: pathlib.Path, minutes: float, environment: dict[str, str] | None = None
) -> int | None:
    """Runs a command with its output in a file; returns its exit status, or None where it takes too long."""
    return running.ended(command, log, minutes * 60, environment)


def _tail(log: pathlib.Path, lines: int = 20) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])


def _minutes(began: float) -> str:
    return f"{(time.monotonic() - began) / 60:.1f} min"


def demangled(text: str) -> str:
    """The same with Swift's names as they are written."""
    try:
        done = subprocess.run(
            ["swift", "demangle", "--simplified"],
            input=text,
            check=False,
            capture_output=True,
            text=True,
            timeout=SHORT,
        )
    except subprocess.TimeoutExpired:
        return text
    return done.stdout if done.returncode == 0 else text


class Proof:
    """One sanitizer's."""

    def __init__(self, sanitizer: Sanitizer, folder: pathlib.Path, tell: Callable[[str], None]) -> None:
        self.sanitizer, self.folder, self.tell = sanitizer, folder, tell
        self.good = True
        self.suppressed: collections.Counter[str] = collections.Counter()
        folder.mkdir(parents=True, exist_ok=True)

    def problem(self, text: str) -> None:
        """Something does not hold."""
        self.good = False
        self.tell(f"PROBLEM  {self.sanitizer.name}: {text}")

    def reports(self, name: str) -> pathlib.Path:
        """A new folder for reports."""
        made = self.folder / f"reports-{name}"
        made.mkdir()
        return made

    def environment(self, reports: pathlib.Path) -> dict[str, str]:
        """What a process is started with."""
        # A trap ends the process at once: the runtime's backtrace may hang in one that is instrumented.
        return {"SWIFT_BACKTRACE": "enable=no", **self.sanitizer.environment(reports)}

    def planted(self) -> None:
        """Each planted fault is found, and where there is none, nothing."""
        program, log = self.folder / "planted", self.folder / "planted.log"
        command: list[object] = ["swiftc", "-swift-version", "6", "-Onone", "-g", "-parse-as-library"]
        command += [f"-sanitize={self.sanitizer.name}", SANITIZED / "Planted.swift", "-o", program, *self.linked()]
        if _run(command, log, 10) != 0:
            raise Failed(f"the planted faults do not build:\n{_tail(log)}")
        found = 0
        for fault, says in self.sanitizer.planted.items():
            reports = self.reports(fault)
            status = _run([program, fault], log, 5, self.environment(reports))
            said = "\n".join(file.read_text("utf-8", "replace") for file in reports.glob("report*"))
            if status in (0, None) or not re.search(says, said) or not seen(reports).reports:
                self.problem(f"the planted fault {fault} is not found (exit status {status})")
            else:
                found += 1
        for name in self.sanitizer.faultless:
            reports = self.reports(name)
            if _run([program, name], log, 5, self.environment(reports)) != 0 or seen(reports).reports:
                self.problem(f"something is found where nothing is planted: {name}")
            if seen(reports).processes != 1:
                self.problem("a process that begins is not seen")
        self.tell(f"{self.sanitizer.name:9}{'planted faults':16}{found} of {len(self.sanitizer.planted)} found")

    def linked(self) -> list[object]:
        """What is linked into every program besides its own: compiled, under a name that says which text it is of."""
        source = self.sanitizer.linked
        if not source:
            return []
        digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
        compiled = REPOSITORY / self.sanitizer.scratch / f"{source.stem}-{digest}.o"
        compiled.parent.mkdir(exist_ok=True)
        log = self.folder / "linked.log"
        if _run(["clang", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-c", source, "-o", compiled], log, 5) != 0:
            raise Failed(f"{source.name} does not build:\n{_tail(log)}")
        arguments = [compiled, *(f"--wrap={each}" for each in self.sanitizer.wrapped)]
        return [word for each in arguments for word in ("-Xlinker", each)]

    def swift(self, does: str, *arguments: object) -> list[object]:
        """A command of the package manager in the build folder of this sanitizer."""
        where = ["--scratch-path", self.sanitizer.scratch, f"--sanitize={self.sanitizer.name}"]
        return ["swift", does, *arguments, *where, *self.linked()]

    def build(self, name: str, *arguments: object) -> list[object]:
        """Builds something; returns the command."""
        log = self.folder / f"build-{name.replace(' ', '-')}.log"
        command = self.swift("build", *arguments)
        began = time.monotonic()
        if _run(command, log, LONGEST_BUILD) != 0:
            raise Failed(f"the {name} do not build:\n{_tail(log)}")
        self.tell(f"{self.sanitizer.name:9}{name:16}built in {_minutes(began)}")
        return command

    def programs(self) -> pathlib.Path:
        """Builds both programs; returns where."""
        command = self.build("programs", "-c", self.sanitizer.configuration)
        shown = subprocess.run(
            [*map(str, command), "--show-bin-path"],
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SHORT,
        )
        binaries = pathlib.Path(shown.stdout.strip())
        for name in ("relay-server", "relay-client"):
            symbols = subprocess.run(["nm", binaries / name], check=True, capture_output=True, text=True, timeout=SHORT)
            if self.sanitizer.symbol not in symbols.stdout:
                raise Failed(f"{name} is not built for it")
        return binaries

    def unit(self) -> None:
        """The unit tests, in a debug build."""
        self.build("unit tests", "--build-tests")
        without = [word for each in UNIT_LEFT_OUT for word in ("--skip", each)]
        told = ("--xunit-output", self.folder / "unit-tests.xml")
        command = self.swift("test", "--skip-build", "--disable-xctest", *told, *without)
        self._tests("unit tests", command, LONGEST_UNIT, {})

    def processes(self, tests: Iterable[str]) -> None:
        """The process tests."""
        binaries = self.programs()
        command: list[object] = [sys.executable, "-m", "pytest", "-q", "-m", MARKERS, "--timeout", 600]
        command += ["--junitxml", self.folder / "process-tests.xml"]
        command += ["--numprocesses", os.cpu_count() or 1, "--dist", "loadgroup"]
        command += [f"--deselect={each}" for each in LEFT_OUT]
        command += [f"Tests/{each}" for each in tests]
        environment = {"RELAY_BIN": str(binaries), "PYTHONDONTWRITEBYTECODE": "1"}
        self._tests("process tests", command, LONGEST_PROCESSES, environment)

    def _tests(self, name: str, command: list[object], minutes: int, environment: dict[str, str]) -> None:
        stem = name.replace(" ", "-")
        log, reports = self.folder / f"{stem}.log", self.reports(stem)
        # As many unit tests at once as Swift's pool has threads: with more, one that calculates for minutes, as it does
        # here, has others wait until their deadlines.
        width = {"SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH": str(os.cpu_count() or 1)}
        variables = {**width, **self.environment(reports), **environment}
        began = time.monotonic()
        status = _run(command, log, minutes, variables)
        found = seen(reports)
        self.suppressed += found.suppressed
        # Each library for tests has a report of its own.
        ran, failed = _counted(self.folder.glob(f"{stem}*.xml"))
        self.tell(
            f"{self.sanitizer.name:9}{name:16}{ran} ran, {len(failed)} failed; {found.processes} processes, "
            f"{sum(found.reports.values())} reports of {len(found.reports)} kinds, "
            f"{sum(found.suppressed.values())} suppressed; {_minutes(began)}"
        )
        for kind, count in found.reports.most_common():
            self.problem(f"{count} times:\n{demangled(found.examples[kind][:6000])}")
        for each in failed:
            self.problem(f"{name}: {each} failed")
        if failed:
            self.tell(_tail(log, 200))
        if status is None:
            self.problem(f"the {name} have not ended in {minutes} minutes")
        elif status != 0 and not failed:
            self.problem(f"the {name} ended with status {status}:\n{_tail(log)}")
        if not ran or not found.processes:
            self.problem(f"no {name} have run, or none of their processes are seen")

    def run(self, only: str | None) -> bool:
        """All of it, or a part of the tests."""
        for entry, reason in entries(self.sanitizer.suppressing[1]):
            if not reason:
                self.problem(f"{entry} is suppressed without a reason")
        for test in running.missing((*PROCESS_TESTS, *LEFT_OUT)):
            self.problem(f"{test} is named here, and is not there")
        try:
            self.planted()
            if only in (None, "unit"):
                self.unit()
            if only != "unit":
                self.processes([only] if only else PROCESS_TESTS)
        except (Failed, subprocess.SubprocessError) as error:
            self.problem(str(error))
        for entry, _ in entries(self.sanitizer.suppressing[1]):
            count = self.suppressed[entry.partition(":")[2]]
            self.tell(f"{self.sanitizer.name:9}{'suppressed':16}{count:6} times {entry}")
        return self.good


def _counted(files: Iterable[pathlib.Path]) -> tuple[int, list[str]]:
    """How many tests a report tells of, and the names of those that failed."""
    ran, failed = 0, []
    for path in files:
        try:
            cases = [*xml.etree.ElementTree.parse(path).iter("testcase")]
        except xml.etree.ElementTree.ParseError:
            # It ends where its process did.
            failed.append(f"{path.name}, which has no end,")
            continue
        for case in cases:
            ran += case.find("skipped") is None
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(f"{case.get('classname')}.{case.get('name')}")
    return ran, failed


def proved(names: list[str], folder: pathlib.Path, tell: Callable[[str], None], only: str | None = None) -> bool:
    """Whether nothing is found by the sanitizers of these names; all without any."""
    chosen = [SANITIZERS[name] for name in names or SANITIZERS]
    good = [Proof(each, folder / each.name, tell).run(only) for each in chosen]
    return all(good)
