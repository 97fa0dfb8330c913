# SPDX-License-Identifier: Apache-2.0
"""A relay that is told anew, while it runs, what it may do."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from . import protocol
from .relay import Relay
from .types import Word


class Configured:
    """A relay with a configuration file that the test writes anew."""

    def __init__(
        self,
        own_relay: Callable[..., Relay],
        tmp_path: pathlib.Path,
        *,
        arguments: Iterable[Word] = (),
        **settings: object,
    ) -> None:
        self.file = tmp_path / "server.json"
        self.write(**settings)
        # An environment would win over the file.
        self.relay = own_relay(
            registration="open",
            arguments=["--config", self.file, "--metrics-listen", "127.0.0.1:0", *arguments],
            env={"RELAY_ADDRESS_LIMIT": ""},
        )

    def write(self, **settings: object) -> None:
        """Writes the file."""
        self.file.write_text(json.dumps({name.replace("_", "-"): value for name, value in settings.items()}))

    def reload(self, *words: str, **settings: object) -> str:
        """Writes the file and reloads; returns what is said, which has these words."""
        self.write(**settings)
        done = self.relay.command("reload")
        assert done.returncode == 0, done
        for word in words:
            assert word in done.stdout.splitlines()[0], done
        return done.stdout

    def admitted(self, identity: protocol.Identity) -> tuple[bool, Any]:
        """Whether one more session of that user is let in, and the session or the code."""
        session = protocol.Session(self.relay, identity)
        try:
            return True, session.login()
        except protocol.Refused as refused:
            session.close()
            return False, refused.code
