# SPDX-License-Identifier: Apache-2.0
"""What a server's metrics listener says."""

import re
import socket

SAMPLE = re.compile(r'([a-z_]+(?:\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})?) (\d+(?:\.\d+)?)')


def ask(port, path, method="GET", *, request=None, timeout=15):
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


def scrape(port):
    """The samples of /metrics, as {'name{label="value"}': figure}."""
    status, head, body = ask(port, "/metrics")
    assert status == 200 and "\r\ncontent-type: text/plain; version=0.0.4" in head.lower(), head
    assert body.endswith("\n")
    samples = {}
    for line in body.splitlines():
        if not line.startswith("# "):
            name, value = SAMPLE.fullmatch(line).groups()
            assert name not in samples, name
            samples[name] = float(value) if "." in value else int(value)
    return samples


def port_of(relay):
    """The port in a relay's start log."""
    return int(relay.process.wait_for(r"(?m)^.*listening.*:(\d+)\b.*purpose=metrics.*$", 20).group(1))
