# SPDX-License-Identifier: Apache-2.0
"""Waiting for things, not for time. Everything has a deadline."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
#: What is waited for, in words, or what makes the words when it did not happen.
What = str | Callable[[], object]


class TooLate(AssertionError):
    """Something did not happen before its deadline."""


class Deadline:
    """One end for several waits in a row: a number of seconds from the moment it is made."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began = seconds, time.monotonic()

    def passed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self._began

    def left(self) -> float:
        """Seconds that are left, as a timeout: never below a millisecond, so that what is there already is found."""
        return max(0.001, self._seconds - self.passed())

    def seen(self, what: str, value: T) -> T:
        """Prints when something was seen (pytest shows it with -s, or when the test fails), and returns it."""
        print(f"{what}: {value} after {self.passed():.2f} s")
        return value


def until(condition: Callable[[], T | None], timeout: float, what: What, step: float = 0.005) -> T:
    """Waits until `condition()` is true and returns its value; TooLate after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(step)


def settled(measure: Callable[[], T], quiet: float, timeout: float, what: str) -> T:
    """Waits until `measure()` has not changed for `quiet` seconds; returns the value. TooLate after `timeout`."""
    deadline = time.monotonic() + timeout
    value, since = measure(), time.monotonic()
    while time.monotonic() - since < quiet:
        if time.monotonic() > deadline:
            raise TooLate(f"still changing after {timeout} s: {what} (now {value})")
        time.sleep(0.02)
        now = measure()
        if now != value:
            value, since = now, time.monotonic()
    return value


def background(function: Callable[..., T], *arguments: Any, **named: Any) -> concurrent.futures.Future[T]:
    """Runs `function` on a thread of its own; returns a Future. The thread never keeps the run alive."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
