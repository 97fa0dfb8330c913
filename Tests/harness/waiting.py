# SPDX-License-Identifier: Apache-2.0
"""Waiting for things, not for time. Everything has a deadline."""

import concurrent.futures
import threading
import time


class TooLate(AssertionError):
    """Something did not happen before its deadline."""


class Deadline:
    """One end for several waits in a row: a number of seconds from the moment it is made."""

    def __init__(self, seconds):
        self._seconds, self._began = seconds, time.monotonic()

    def passed(self):
        """Seconds since it was made."""
        return time.monotonic() - self._began

    def left(self):
        """Seconds that are left, as a timeout: never below a millisecond, so that what is there already is found."""
        return max(0.001, self._seconds - self.passed())

    def seen(self, what, value):
        """Prints when something was seen (pytest shows it with -s, or when the test fails), and returns it."""
        print(f"{what}: {value} after {self.passed():.2f} s")
        return value


def until(condition, timeout, what, step=0.005):
    """Waits until `condition()` is true and returns its value; TooLate after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(step)


def settled(measure, quiet, timeout, what):
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


def background(function, *arguments, **named):
    """Runs `function` on a thread of its own; returns a Future. The thread never keeps the run alive."""
    future = concurrent.futures.Future()

    def run():
        try:
            future.set_result(function(*arguments, **named))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
