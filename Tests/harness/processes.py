# SPDX-License-Identifier: Apache-2.0
"""Processes: their output in files, a deadline on every wait, and none left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Self

from .events import events_of
from .measure import has_stopped
from .types import Message, Path, Stream, Word
from .waiting import TooLate, until

# A run in the background of a script has signals ignored, and so would everything it starts: with a handler of its own,
# even one that does nothing, what it starts has none.
for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

#: What a variable of a flag says that stands for the flag.
_YES = ("1", "true", "yes", "on")

_lock = threading.Lock()
_all: list[Process] = []
_test_mark = 0
_sharing = False


def mark() -> int:
    """A point in time: `stop_since` ends what was started after it, except shared processes."""
    global _test_mark
    _test_mark = len(_all)
    return _test_mark


def mark_of_test() -> int:
    """The mark of the test that runs now."""
    return _test_mark


def stop_since(point: int) -> None:
    """Kills what was started after `point` and still runs (everything, shared or not, when `point` is 0)."""
    with _lock:
        started = list(_all[point:])
    for process in reversed(started):
        if point == 0 or not process.shared:
            process.kill()


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """What starts inside outlives the test: a fixture of the session owns it."""
    global _sharing
    _sharing = True
    try:
        yield
    finally:
        _sharing = False


def hold_to_schema(point: int) -> None:
    """Looks at all that was printed for programs by what was started after `point`, whether a test has read it or
    not. Raises BadLine."""
    with _lock:
        started = list(_all[point:])
    for process in started:
        if process.is_for_programs:
            process.events()


def of_interest() -> list[Process]:
    """The processes a failure report shows: this test's, and shared ones."""
    return [process for index, process in enumerate(_all) if index >= _test_mark or process.shared]


class Process:
    """A started process."""

    _numbers = itertools.count(1)
    #: The thread that reads its output, where that goes into a history.
    watcher: threading.Thread

    def __init__(
        self,
        arguments: Sequence[Word],
        *,
        env: dict[str, str],
        folder: Path,
        name: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        cwd: Path | None = None,
    ) -> None:
        arguments = [os.fspath(argument) for argument in arguments]
        self.name = name or pathlib.Path(os.fsdecode(arguments[0])).name
        self.arguments, self._env = arguments, env
        self.shared = _sharing
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        stem = tempfile.mkdtemp(prefix=f"{self.name}-{next(self._numbers):03}-", dir=folder)
        self.stdout_path = pathlib.Path(stem, "stdout")
        self.stderr_path = pathlib.Path(stem, "stderr")
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen(
                arguments,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr,
                start_new_session=True,
            )
        with _lock:
            _all.append(self)

    @property
    def pid(self) -> int:
        """The process id."""
        return self.popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        """The writing end of its standard input, when it was started with a pipe."""
        assert self.popen.stdin is not None, f"{self.name} was started without a pipe"
        return self.popen.stdin

    def out(self) -> str:
        """Standard output so far, as text."""
        return self.stdout_path.read_bytes().decode("utf-8", "replace")

    def err(self) -> str:
        """Standard error so far, as text."""
        return self.stderr_path.read_bytes().decode("utf-8", "replace")

    def output(self) -> bytes:
        """Both, as bytes."""
        return self.stdout_path.read_bytes() + self.stderr_path.read_bytes()

    @property
    def is_for_programs(self) -> bool:
        """Whether it is a relay-client that was told, in words or by a variable, to print one object a line."""
        words = [os.fsdecode(argument) for argument in self.arguments]
        is_told = "--json" in words or self._env.get("RELAY_JSON", "").lower() in _YES
        return is_told and any(pathlib.Path(word).name == "relay-client" for word in words)

    def events(self, *names: str) -> list[Message]:
        """What a relay-client has said so far with `--json` (only events of these names, if any are given). They are on
        standard error when standard output is for content."""
        words = [os.fsdecode(argument) for argument in self.arguments]
        has_content = ("--output", "-") in itertools.pairwise(words)
        found = events_of(self.err() if has_content else self.out())
        return [event for event in found if not names or event["event"] in names]

    def running(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def wait(self, timeout: float) -> int:
        """Its exit status (negative: the signal that killed it); TooLate after `timeout` seconds."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TooLate(f"{self.name} still runs after {timeout} s:\n{self.tail()}") from None

    def expect(self, status: int | Iterable[int], timeout: float) -> Self:
        """Waits for the end and asserts the exit status (one, or any of several)."""
        allowed = {status} if isinstance(status, int) else set(status)
        actual = self.wait(timeout)
        assert actual in allowed, f"{self.describe()}: expected {sorted(allowed)}\n{self.tail()}"
        return self

    def wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        """Waits until its output matches `pattern` (text; either stream) and returns the match."""
        compiled = re.compile(pattern)

        def look() -> re.Match[str] | None:
            found = compiled.search(self.out()) or compiled.search(self.err())
            if not found and not self.running():
                found = compiled.search(self.out()) or compiled.search(self.err())
                if not found:
                    raise TooLate(f"{self.describe()} before it said /{pattern}/\n{self.tail()}")
            return found

        return until(look, timeout, lambda: f"/{pattern}/ from {self.name}\n{self.tail()}")

    def signal(self, number: int) -> None:
        """Sends a signal to the process alone. After SIGSTOP it has stopped."""
        if self.running():
            self.popen.send_signal(number)
            if number == signal.SIGSTOP:
                until(lambda: has_stopped(self.pid), 10, f"{self.name} has stopped")

    def kill(self) -> None:
        """Kills it and its descendants, and waits for the end. Harmless when it has ended."""
        # After wait(2) the process id may be in use again. If it is not, the group holds only what the process left.
        if self.popen.returncode is None or not os.path.exists(f"/proc/{self.pid}"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)
        if self.popen.stdin:
            with contextlib.suppress(OSError):
                self.popen.stdin.close()

    def describe(self) -> str:
        """How it ended, in words."""
        status = self.popen.poll()
        if status is None:
            return "still runs"
        return f"was killed by signal {-status}" if status < 0 else f"exited with {status}"

    def tail(self, size: int = 4000) -> str:
        """The last `size` characters of each stream, under its command line."""
        command = " ".join(map(repr, self.arguments))
        return f"$ {command}\n--- stdout\n{self.out()[-size:]}\n--- stderr\n{self.err()[-size:]}"
