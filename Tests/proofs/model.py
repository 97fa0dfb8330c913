# SPDX-License-Identifier: Apache-2.0
"""Random schedules of the claim and routing model (Tests/TransferBrokerTests/Model), in an optimised program."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import subprocess
import time
from collections.abc import Callable

from harness.executables import REPOSITORY

from . import running

SCRATCH = ".build-model"
#: How many schedules a process runs before another one takes its place.
ROUND = 50_000
#: How many schedules at most find a planted fault.
PLANTED = 20_000
#: In seconds: a build from nothing, what only asks, and the schedules of one process.
BUILDING, ASKING, RUNNING = 3600, 300, 1800
DONE = re.compile(r"schedules=(\d+) steps=(\d+) early=(\d+) states=(\d+)\n(.*)", re.DOTALL)


class Unbuilt(AssertionError):
    """The program of the model cannot be built."""


def build() -> pathlib.Path:
    """Builds the program; returns where it is."""
    command = ["swift", "build", "-c", "release", "--scratch-path", SCRATCH]
    environment = {**os.environ, "RELAY_MODEL": "1"}
    status = running.ended([*command, "--product", "relay-model"], None, BUILDING, environment)
    if status is None:
        raise Unbuilt(f"the model's program is not built after {BUILDING // 60} minutes")
    if status != 0:
        raise Unbuilt("the model's program does not build")
    shown = subprocess.run(
        [*command, "--show-bin-path"],
        cwd=REPOSITORY,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=ASKING,
    )
    return pathlib.Path(shown.stdout.strip()) / "relay-model"


def run(program: pathlib.Path, *words: object) -> tuple[int, int, str]:
    """How many schedules and steps were run, and what went wrong."""
    try:
        done = subprocess.run(
            [str(program), *map(str, words)], check=False, capture_output=True, text=True, timeout=RUNNING
        )
    except subprocess.TimeoutExpired:
        return 0, 0, f"the program was not over after {RUNNING} s: {' '.join(map(str, words))}"
    said = DONE.fullmatch(done.stdout)
    if done.returncode != 0 or said is None:
        return 0, 0, f"the program ended with {done.returncode}: {done.stdout[-400:]}{done.stderr[-400:]}"
    schedules, steps, _, _, failure = said.groups()
    return int(schedules), int(steps), failure


def finds_what_is_planted(program: pathlib.Path, seed: int, tell: Callable[[str], None]) -> bool:
    """Whether each fault that is planted in the model's world is found."""
    asked = subprocess.run([str(program), "faults"], check=True, capture_output=True, text=True, timeout=ASKING)
    faults = asked.stdout.split()
    good = bool(faults)
    for fault in faults:
        schedules, _, failure = run(program, seed, 0, PLANTED, fault)
        first, is_found = failure.partition("\n")[0], bool(failure) and schedules > 0
        tell(f"planted: {fault}: " + (f"found after {schedules}: {first}" if is_found else f"NOT found {first}"))
        good = good and is_found
    return good


def proved(schedules: int, seed: int, only: int | None, tell: Callable[[str], None]) -> bool:
    """Runs so many, on all processors; or a single one, by its number."""
    program = build()
    if only is not None:
        _, steps, failure = run(program, seed, only, 1)
        tell(failure or f"schedule {only} of seed {seed} holds, in {steps} steps")
        return not failure
    good = finds_what_is_planted(program, seed, tell)
    began, done, steps, told = time.monotonic(), 0, 0, 0.0
    starts = range(0, schedules, ROUND)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        rounds = [pool.submit(run, program, seed, start, min(ROUND, schedules - start)) for start in starts]
        for each in concurrent.futures.as_completed(rounds):
            if each.cancelled():
                continue
            count, made, failure = each.result()
            done, steps = done + count, steps + made
            passed = time.monotonic() - began
            if failure:
                tell(f"{failure}\n  repeated by: --seed {seed} model --only N, with the schedule's number")
                good = False
                pool.shutdown(wait=False, cancel_futures=True)
            if passed - told > 10 or done == schedules:
                told = passed
                tell(f"{done} schedules, {steps} steps in {passed:.0f} s: {done / passed:.0f} schedules a second")
    return good and done == schedules
