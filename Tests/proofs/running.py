# SPDX-License-Identifier: Apache-2.0
"""What proofs that run tests have in common: commands that are ended with all that they have started, and a look at
whether the tests that a proof names are there."""

from __future__ import annotations

import ast
import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterable, Mapping

from harness.executables import REPOSITORY

TESTS = REPOSITORY / "Tests"
#: What scripts/require ends with where a package cannot be installed.
UNAVAILABLE = 69
#: How long a command has to clear up behind itself once it is told to end.
CLEARING = 60.0


class Absent(Exception):
    """Something that a proof needs cannot be had here; it says what, and what would bring it."""


def required(*packages: str) -> None:
    """Installs what a proof needs; Absent where that is not to be had."""
    done = subprocess.run(
        [REPOSITORY / "scripts/require", *packages], check=False, capture_output=True, text=True, timeout=1200
    )
    if done.returncode == UNAVAILABLE:
        raise Absent(done.stderr.strip().rpartition("\n")[2])
    assert done.returncode == 0, f"scripts/require {' '.join(packages)}: {done.stderr.strip()[-200:]}"


def ended(
    command: Iterable[object],
    log: pathlib.Path | None,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    *,
    clearing: float = CLEARING,
) -> int | None:
    """Runs a command with its output in a file; returns its exit status, or None where it takes too long.

    It is told to end first, so that pytest stops what its tests have started; what is left of its group is killed.
    """
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("wb")) if log else None
        running = subprocess.Popen(
            [os.fspath(each) if isinstance(each, os.PathLike) else str(each) for each in command],
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            start_new_session=True,
        )
        try:
            return running.wait(seconds)
        except subprocess.TimeoutExpired:
            _end(running, clearing)
            return None
        except BaseException:
            _end(running, clearing)
            raise


def _end(running: subprocess.Popen[bytes], clearing: float) -> None:
    running.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(clearing)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def missing(tests: Iterable[str]) -> list[str]:
    """Those that there are not, of tests as FILE::FUNCTION, or FILE, below Tests."""
    return [test for test in tests if not _is_there(*test.partition("::"))]


def _is_there(file: str, separator: str, function: str) -> bool:
    path = TESTS / file
    if not path.is_file():
        return False
    parsed = ast.parse(path.read_text(encoding="utf-8"))
    return not separator or function in {node.name for node in parsed.body if isinstance(node, ast.FunctionDef)}


def in_a_line(error: Exception) -> str:
    """What a proof, or a command that it has run, ended with."""
    if not isinstance(error, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        name = "" if isinstance(error, AssertionError) and str(error) else f"{type(error).__name__}: "
        return " ".join(f"{name}{error}".split())[:1000]
    words = [error.cmd] if isinstance(error.cmd, str | os.PathLike) else error.cmd
    command = " ".join(map(str, words))[:200].replace("\n", " ")
    if isinstance(error, subprocess.TimeoutExpired):
        return f"{command} was not over after {error.timeout:.0f} s"
    said = error.stderr.decode("utf-8", "replace") if isinstance(error.stderr, bytes) else error.stderr or ""
    last = said.strip().rpartition("\n")[2][-200:]
    return f"{command} ended with {error.returncode}{f': {last}' if last else ''}"
