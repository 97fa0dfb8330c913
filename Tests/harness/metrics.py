# SPDX-License-Identifier: Apache-2.0
"""What a server's metrics listener says."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .relay import Relay

SAMPLE = re.compile(r'([a-z_]+(?:\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})?) (\d+(?:\.\d+)?)')


def attempt(
    port: int, path: str, method: str = "GET", *, request: bytes | None = None, timeout: float = 15
) -> tuple[int, str, str] | None:
    """(status, head, body) of one plain HTTP request; None when the connection ends without an answer."""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(request or f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    if not answer:
        return None
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split(" ", 2)[1]), head, body


def ask(port: int, path: str, method: str = "GET", *, request: bytes | None = None) -> tuple[int, str, str]:
    """(status, head, body) of one plain HTTP request, which has to be answered."""
    answer = attempt(port, path, method, request=request)
    assert answer, f"no answer to {method} {path}"
    return answer


def scrape(port: int) -> dict[str, float]:
    """The samples of /metrics, as {'name{label="value"}': figure}."""
    status, head, body = ask(port, "/metrics")
    assert status == 200 and "\r\ncontent-type: text/plain; version=0.0.4" in head.lower(), head
    assert body.endswith("\n")
    samples: dict[str, float] = {}
    for line in body.splitlines():
        if not line.startswith("# "):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            name, value = sample.groups()
            assert name not in samples, name
            samples[name] = float(value) if "." in value else int(value)
    return samples


def port_of(relay: Relay) -> int:
    """The port in a relay's start log."""
    return int(relay.process.wait_for(r"(?m)^.*listening.*:(\d+)\b.*purpose=metrics.*$", 20).group(1))
