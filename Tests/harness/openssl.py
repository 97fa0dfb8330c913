# SPDX-License-Identifier: Apache-2.0
"""A server as openssl's own client sees it."""

from __future__ import annotations

import subprocess

from .types import Server, Word


def ask(server: Server, *arguments: Word) -> str:
    """A request by `openssl s_client`; what it says. `New, TLS` is in it, or `Reused, TLS` where a session goes on."""
    done = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"{server.host}:{server.port}",
            "-CAfile",
            server.ca,
            "-verify_return_error",
            "-alpn",
            "http/1.1",
            "-ign_eof",
            *arguments,
        ],
        input=b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n",
        capture_output=True,
        timeout=20,
        check=False,
    )
    said = done.stdout.decode("utf-8", "replace")
    assert "HTTP/1.1 200" in said and "Verify return code: 0" in said, said + done.stderr.decode("utf-8", "replace")
    return said
