# SPDX-License-Identifier: Apache-2.0
"""A program on a terminal of its own (a pty): what it draws, and what is typed."""

import contextlib
import fcntl
import os
import struct
import sys
import termios
import threading

from .waiting import until


class Terminal:
    """Hands out standard streams for a Process, and keeps everything that was written to them."""

    #: What the command line begins with if this is to be the process's own terminal, whose Ctrl-C it hears.
    own = (
        sys.executable,
        "-c",
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
    )

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        master, self.slave = os.openpty()
        self._master = os.fdopen(master, "r+b", buffering=0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._seen, self._lock = bytearray(), threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        # Until all processes have closed the other side.
        with self._master, contextlib.suppress(OSError):
            while piece := self._master.read(65_536):
                with self._lock:
                    self._seen += piece

    def resize(self, columns: int, rows: int = 24) -> None:
        """Makes it another size, as a person does with a window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def streams(self, stdin: bool = True, stdout: bool = True, stderr: bool = True) -> dict[str, int]:
        """Arguments for Process."""
        return {
            name: self.slave for name, wanted in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)) if wanted
        }

    def started(self) -> None:
        """Closes this side's copy of the terminal, so that its end can be seen."""
        os.close(self.slave)

    def seen(self) -> str:
        """Everything so far, as text."""
        with self._lock:
            return bytes(self._seen).decode("utf-8", "replace")

    def wait_for(self, text: str, timeout: float = 15) -> bool:
        """Waits until this text was drawn."""
        return until(
            lambda: text.lower() in self.seen().lower(), timeout, lambda: f"{text!r} in {self.seen()[-2000:]!r}"
        )

    def echoes(self) -> bool:
        """Whether it shows what is typed."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def type(self, text: str) -> None:
        """Types."""
        self._master.write(text.encode())


def rendered(text: str, columns: int = 80) -> list[str]:
    """What a terminal shows in the end: carriage return, line feed, erasing and cursor-up understood; lines."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(text):
        letter = text[at]
        at += 1
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row, column = row + 1, 0
            while len(lines) <= row:
                lines.append("")
        elif letter == "\x1b" and text[at : at + 1] == "[":
            end = at + 1
            while end < len(text) and not text[end].isalpha():
                end += 1
            number, code = text[at + 1 : end], text[end : end + 1]
            at = end + 1
            if code in ("K", "J"):
                lines[row] = "" if number == "2" else lines[row][:column]
                if code == "J":
                    del lines[row + 1 :]
            elif code == "A":
                row = max(0, row - int(number or 1))
            elif code == "G":
                column = int(number or 1) - 1
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + letter + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
