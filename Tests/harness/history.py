# SPDX-License-Identifier: Apache-2.0
"""What happened, in the order in which it was seen: an append-only list of events from clients, nodes and tests.

Each event is a dictionary with `at` (seconds of the monotonic clock), `who` and `event`. The names that rules look at:

| event | fields | from |
| --- | --- | --- |
| `began` | `file`, `sha256`, `deadline` (seconds) | the test that starts a transfer |
| `ended` | `file`, `status` (exit status of the sender) | the same |
| `stored` | `file`, `sha256` (None: there is no such file) | the same, looking at the disk |
| `delivered`, `received` | `file`, `sha256` | clients' JSON lines |
| `leaving` | | the test, before it ends a receiver |
| `claimed` | `token` (its SHA-256), `status` | raw clients |
| `took` | `file`, `prefix` (whether the bytes are how the sent ones begin) | raw clients |
| `lost` | `node`, `incarnation` | the test that kills a node |
| `routes` | `routes`: (key, node, incarnation) | the scanner of Redis |
| `usage` | `node`, `moment` (`before`, `after`), `descriptors`, `resident` | the baseline |
| `fault` | `kind`, `target` | the test |
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from .events import BadLine, event_of
from .waiting import TooLate

#: One event.
Event = dict[str, Any]


class History:
    """The list. Any thread may add to it, and wait for what comes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._news = clock, threading.Condition()
        self._events: list[Event] = []

    def now(self) -> float:
        """The clock of the stamps."""
        return self._clock()

    def add(self, who: str, event: str, **fields: Any) -> Event:
        """Appends one event, stamped now."""
        with self._news:
            made = {"at": self._clock(), "who": who, "event": event, **fields}
            self._events.append(made)
            self._news.notify_all()
        return made

    def forget(self, event: Event) -> None:
        """Takes an event out again: how a test of the rules makes a history a wrong one."""
        with self._news:
            self._events = [each for each in self._events if each is not event]

    def line(self, who: str, text: str) -> None:
        """Appends a line of a client's `--json` output; what is not as promised is an event called `garbled`."""
        try:
            fields = dict(event_of(text))
        except BadLine as error:
            self.add(who, "garbled", text=str(error))
            return
        event = fields.pop("event")
        # `at` and `who` are this list's own; a client calls the name of the file `name`.
        fields = {key: value for key, value in fields.items() if key not in ("at", "who", "file")}
        if "name" in fields:
            fields["file"] = fields.pop("name")
        self.add(who, event, **fields)

    def follow(self, who: str, stream: IO[bytes]) -> threading.Thread:
        """Appends the lines of a binary stream as they come, on a thread of its own."""

        def read() -> None:
            with stream:
                for text in stream:
                    # One that was killed has not ended its last line.
                    if text.endswith(b"\n"):
                        self.line(who, text.decode("utf-8", "replace"))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def events(self, event: str | None = None, **fields: Any) -> list[Event]:
        """Those with that name and those fields, in order."""
        with self._news:
            return [each for each in self._events if _matches(each, event, fields)]

    def wait_for(
        self, event: str, timeout: float, count: int = 1, where: Callable[[Event], bool] = lambda _: True, **fields: Any
    ) -> Event:
        """Waits until there are `count` such events and returns the last of them; TooLate after `timeout` seconds."""
        with self._news:

            def found() -> list[Event]:
                return [each for each in self._events if _matches(each, event, fields) and where(each)]

            if not self._news.wait_for(lambda: len(found()) >= count, timeout):
                raise TooLate(f"not within {timeout} s: {count} × {event} {fields}; had\n{self.tail()}")
            return found()[count - 1]

    def tail(self, count: int = 60) -> str:
        """The last events but progress, one a line."""
        with self._news:
            shown = [each for each in self._events if each["event"] not in ("progress", "routes")][-count:]
            first = self._events[0]["at"] if self._events else 0
        return "\n".join(
            f"{each['at'] - first:8.3f} {each['who']}: {each['event']} "
            + " ".join(f"{key}={value}" for key, value in each.items() if key not in ("at", "who", "event"))
            for each in shown
        )


def _matches(event: Event, name: str | None, fields: dict[str, Any]) -> bool:
    return (name is None or event["event"] == name) and all(event.get(key) == value for key, value in fields.items())


def digest_of(token: str) -> str:
    """How a token appears in a history: never itself."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]
