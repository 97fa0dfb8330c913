# SPDX-License-Identifier: Apache-2.0
"""libFuzzer against every decoder of bytes from outside, and what of their code the committed inputs reach.

One program holds all decoders (Tests/FuzzingTests): it is built once, in a folder of its own, with only this package's
code instrumented.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable

from harness.executables import REPOSITORY

from . import corpora

#: How many percent of the lines of a decoder's files its corpus has to reach.
LEAST = 95.0
#: No input may make a decoder need more, in MiB, or take longer, in seconds.
MEMORY, LONGEST = 512, 10
SCRATCH = ".build-fuzz"


class Unbuilt(Exception):
    """The fuzzer cannot be built."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is asked for."""

    #: Their names; all without any.
    decoders: list[str]
    seed: int
    seconds: int
    #: How many at a time.
    jobs: int
    #: Whether inputs that reach more are added to the committed ones.
    keeps: bool
    #: Whether the lines are named that the committed ones do not reach.
    shows: bool


@dataclasses.dataclass(frozen=True)
class Decoder:
    """One of those that the program names."""

    name: str
    longest: int
    #: Files below Sources; with `#Type`, only what that type has there.
    sources: tuple[str, ...]


@dataclasses.dataclass
class Outcome:
    """What came of one."""

    decoder: Decoder
    inputs: int
    runs: int = 0
    seconds: int = 0
    found: list[bytes] = dataclasses.field(default_factory=list)
    #: Lines reached, and lines, of each file.
    lines: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    #: The lines of each file that it does not reach.
    unreached: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    faults: list[str] = dataclasses.field(default_factory=list)
    #: Inputs that took too long once, and not again by themselves.
    slow: list[str] = dataclasses.field(default_factory=list)

    @property
    def covered(self) -> float:
        """The part of all lines that the committed corpus reaches, in per cent."""
        reached, all_lines = (sum(each) for each in zip(*self.lines.values(), strict=True)) if self.lines else (0, 0)
        return 100 * reached / all_lines if all_lines else 0.0

    def row(self) -> str:
        """A line of the table."""
        return (
            f"{self.decoder.name:16}{self.inputs:7}{self.runs:13}{self.seconds:9}{len(self.found):8}"
            f"{self.covered:9.1f} %{len(self.faults):8}"
        )

    def rows(self) -> Iterable[str]:
        """What its corpus reaches of each file, and the lines that it does not."""
        for path, (reached, count) in sorted(self.lines.items()):
            part = 100 * reached / count if count else 100
            missing = ", ".join(_spans(self.unreached.get(path, [])))
            yield f"         {path:64}{reached:5} of {count:4}{part:7.1f} %  {missing}".rstrip()

    def problems(self) -> Iterable[str]:
        """What does not hold."""
        yield from self.faults
        if self.covered < LEAST:
            low = ", ".join(
                f"{path} {100 * reached / count:.0f} %"
                for path, (reached, count) in sorted(self.lines.items())
                if count and 100 * reached / count < LEAST
            )
            yield f"{self.decoder.name}: its corpus reaches {self.covered:.1f} % of the lines of its files: {low}"


def _spans(numbers: list[int]) -> Iterable[str]:
    """Numbers as people write them: 3, 7-9."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1][-1] = number
        else:
            spans.append([number, number])
    return (str(first) if first == last else f"{first}-{last}" for first, last in spans)


HEADER = "decoder          inputs         runs  seconds   found  coverage  faults"


def build() -> pathlib.Path:
    """Builds the fuzzer; returns where it is."""
    command = ["swift", "build", "-c", "release", "--scratch-path", SCRATCH]
    environment = {**os.environ, "RELAY_FUZZ": "1"}
    done = subprocess.run([*command, "--product", "relay-fuzzer"], cwd=REPOSITORY, env=environment, check=False)
    if done.returncode != 0:
        raise Unbuilt("the fuzzer does not build")
    shown = subprocess.run(
        [*command, "--show-bin-path"], cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True
    )
    return pathlib.Path(shown.stdout.strip()) / "relay-fuzzer"


def decoders(program: pathlib.Path, names: Iterable[str]) -> list[Decoder]:
    """Those of these names; all without any."""
    environment = {**os.environ, "LLVM_PROFILE_FILE": os.devnull}
    listed = subprocess.run([str(program), "list"], env=environment, check=True, capture_output=True, text=True).stdout
    found = []
    for line in listed.splitlines():
        name, longest, sources = line.split("\t")
        found.append(Decoder(name, int(longest), tuple(sources.split(","))))
    chosen = list(names)
    unknown = set(chosen) - {each.name for each in found}
    if unknown:
        raise Unbuilt(
            f"{', '.join(sorted(unknown))}: no decoder is called that; there are "
            f"{', '.join(each.name for each in found)}"
        )
    return [each for each in found if not chosen or each.name in chosen]


def run(program: pathlib.Path, decoder: Decoder, folder: pathlib.Path, seconds: int, seed: int) -> Outcome:
    """Fuzzes one decoder, and measures what its committed corpus reaches."""
    folder = folder / decoder.name
    committed, found, faults = folder / "committed", folder / "found", folder / "faults"
    corpora.unpack(decoder.name, committed)
    for each in (found, faults):
        each.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(decoder, len(list(committed.iterdir())))
    _replay(program, outcome, committed, faults)
    said = ""
    if seconds:
        dictionary = folder / "words"
        dictionary.write_text(_words(decoder.name), encoding="ascii")
        said = _fuzzer(
            program,
            decoder,
            faults,
            found,
            committed,
            f"-max_total_time={seconds}",
            f"-seed={seed}",
            f"-dict={dictionary}",
        )
        outcome.runs = int(_last(r"number_of_executed_units: (\d+)", said) or 0)
        outcome.seconds = seconds
        # Of a run that was killed, or never began, there is no input to show.
        if not outcome.runs and not any(faults.iterdir()):
            outcome.faults.append(f"{decoder.name}: the fuzzer has not run: {said[-400:]}")
        outcome.found = _merged(program, decoder, folder)
    for each in sorted(faults.iterdir()):
        line, again = _smallest(program, decoder, each)
        kind = each.name.partition("-")[0]
        described = f"{decoder.name}: {kind}: {again or reason(said) or 'it says no more'}\n    {line}"
        # Such a time is one of the machine as well, which may have stood still.
        if kind in {"slow", "timeout"} and not again:
            outcome.slow.append(described)
        else:
            outcome.faults.append(described if again else f"{described}\n    does no harm by itself")
    return outcome


def _fuzzer(program: pathlib.Path, decoder: Decoder, faults: pathlib.Path, *arguments: object, **more: str) -> str:
    command = [
        str(program),
        decoder.name,
        f"-max_len={decoder.longest}",
        f"-rss_limit_mb={MEMORY}",
        f"-timeout={LONGEST}",
        f"-artifact_prefix={faults}/",
        "-print_final_stats=1",
        "-reload=0",
        *map(str, arguments),
    ]
    environment = {
        **os.environ,
        # A trap ends the process at once: the runtime's backtrace may hang in one that is instrumented.
        "SWIFT_BACKTRACE": "enable=no",
        # The same seed tries the same inputs, but for decoders that draw numbers of their own.
        "SWIFT_DETERMINISTIC_HASHING": "1",
        "LLVM_PROFILE_FILE": os.devnull,
        **more,
    }
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout.decode("utf-8", "replace")


def _tool(name: str) -> str:
    """One of the compiler's own tools: profiles are of its version."""
    swift = shutil.which("swift")
    beside = pathlib.Path(swift).resolve().parent / name if swift else pathlib.Path(name)
    return str(beside) if beside.exists() else name


def _last(pattern: str, text: str) -> str | None:
    found = re.findall(pattern, text, re.MULTILINE)
    return found[-1] if found else None


def _words(name: str) -> str:
    """A dictionary for the fuzzer: the words and names of the corpus."""
    text = " ".join(corpora.lines(name))
    words = sorted(set(re.findall(r'"[a-zA-Z_-]{2,24}":?|\b[A-Za-z-]{3,24}: |\b[A-Za-z_-]{3,16}\b', text)))
    return "".join('"' + word.replace('"', '\\"') + '"\n' for word in words[:400])


def _replay(program: pathlib.Path, outcome: Outcome, committed: pathlib.Path, faults: pathlib.Path) -> None:
    """Runs the committed corpus, and counts the lines that it reaches."""
    raw, profile = committed.parent / "raw", committed.parent / "profile"
    _fuzzer(program, outcome.decoder, faults, committed, "-runs=0", LLVM_PROFILE_FILE=str(raw))
    if not raw.exists() or not raw.stat().st_size:
        outcome.faults.append(f"{outcome.decoder.name}: its corpus does not run to its end")
        return
    subprocess.run([_tool("llvm-profdata"), "merge", "-o", str(profile), str(raw)], check=True)
    wanted = wanted_lines(outcome.decoder.sources)
    sources = [REPOSITORY / "Sources" / path for path in wanted]
    exported = subprocess.run(
        [_tool("llvm-cov"), "export", "-format=lcov", f"-instr-profile={profile}", program, *sources],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for file in exported.split("end_of_record"):
        if named := re.search(r"^SF:(.*)$", file, re.MULTILINE):
            path = os.path.relpath(named.group(1), REPOSITORY / "Sources")
            found = ((int(line), int(count)) for line, count in re.findall(r"^DA:(\d+),(\d+)", file, re.MULTILINE))
            counts = {line: count for line, count in found if line in wanted.get(path, ())}
            outcome.unreached[path] = sorted(line for line, count in counts.items() if not count)
            outcome.lines[path] = len(counts) - len(outcome.unreached[path]), len(counts)
    missing = {path for path, lines in wanted.items() if path not in outcome.lines or not lines}
    outcome.faults += [f"{outcome.decoder.name}: there is no {path}" for path in sorted(missing)]


def wanted_lines(sources: Iterable[str]) -> dict[str, set[int]]:
    """The lines of each file that count; none where there is no such file, or no such type in it."""
    wanted = dict[str, set[int]]()
    for path, _, name in (each.partition("#") for each in sources):
        lines = wanted.setdefault(path, set())
        file = REPOSITORY / "Sources" / path
        text = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        if not name:
            lines |= set(range(1, len(text) + 1))
            continue
        is_within = False
        for number, line in enumerate(text, 1):
            is_within = is_within or re.match(rf"(?:\w+ )*(?:class|struct|enum|extension) {name}\b", line) is not None
            if is_within:
                lines.add(number)
            is_within = is_within and line != "}"
    return wanted


def _merged(program: pathlib.Path, decoder: Decoder, folder: pathlib.Path) -> list[bytes]:
    """What was found and reaches what the committed inputs do not, as few inputs as do."""
    merged = folder / "merged"
    shutil.copytree(folder / "committed", merged)
    before = {each.name for each in merged.iterdir()}
    aside = folder / "merging"
    aside.mkdir()
    _fuzzer(program, decoder, aside, merged, folder / "found", "-set_cover_merge=1")
    return [each.read_bytes() for each in merged.iterdir() if each.name not in before]


def _smallest(program: pathlib.Path, decoder: Decoder, fault: pathlib.Path) -> tuple[str, str | None]:
    """The input of a fault as a line of the corpus, made smaller where that goes quickly; what it does alone."""
    small = fault.parent.parent / "smaller" / fault.name
    small.parent.mkdir(exist_ok=True)
    if fault.name.startswith("crash-"):
        _fuzzer(
            program,
            decoder,
            small.parent,
            fault,
            "-minimize_crash=1",
            "-max_total_time=30",
            f"-exact_artifact_path={small}",
        )
    smallest = small if small.exists() else fault
    return corpora.encoded(smallest.read_bytes()), reason(_fuzzer(program, decoder, small.parent, smallest))


def reason(said: str) -> str | None:
    """Why the fuzzer has ended before its time, if it has: what it says, behind what the program said last."""
    before, mark, error = said.partition("ERROR: libFuzzer: ")
    if mark:
        words = [line for line in before.splitlines()[:-1] if line and not re.match(r"INFO|WARNING|Running|/|#", line)]
        return ", ".join([*words[-1:], error.partition("\n")[0]])[:400]
    taken = int(_last(r"^Executed .* in (\d+) ms$", said) or 0)
    return f"{taken / 1000:.1f} s" if taken >= 1000 * LONGEST else None


def proved(wanted: Wanted, folder: pathlib.Path, tell: Callable[[str], None]) -> bool:
    """Whether all decoders hold, and all corpora reach what they have to."""
    try:
        program = build()
        chosen = decoders(program, wanted.decoders)
    except Unbuilt as error:
        tell(f"PROBLEM  {error}")
        return False
    tell(f"\n{len(chosen)} decoders, {wanted.seconds} seconds each, {wanted.jobs} at a time\n{HEADER}")
    outcomes, problems = list[Outcome](), list[str]()
    seed = wanted.seed % (1 << 31) or 1
    with concurrent.futures.ThreadPoolExecutor(wanted.jobs) as pool:
        for outcome in pool.map(lambda decoder: run(program, decoder, folder, wanted.seconds, seed), chosen):
            outcomes.append(outcome)
            tell(outcome.row())
            for row in outcome.rows() if wanted.shows else ():
                tell(row)
            for each in outcome.slow:
                tell(f"         too long once, and not again: {each}")
            problems += outcome.problems()
            for problem in outcome.problems():
                tell(f"PROBLEM  {problem}")
            if wanted.keeps and outcome.found:
                tell(f"         {corpora.grow(outcome.decoder.name, outcome.found)} more in its corpus")
    runs, faults = sum(each.runs for each in outcomes), sum(len(each.faults) for each in outcomes)
    least = min((each.covered for each in outcomes), default=0.0)
    tell(f"{len(outcomes)} decoders, {runs:,} inputs, {faults} faults; the least has {least:.1f} % of its lines")
    # Again, where who has only the end of a long output sees them.
    for problem in problems:
        print(problem, flush=True)
    return not problems
