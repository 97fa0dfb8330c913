# SPDX-License-Identifier: Apache-2.0
"""Names for the types that the modules of this package pass to each other."""

import os
from collections.abc import Mapping
from typing import IO, Any, Protocol

Path = str | os.PathLike[str]
#: A word of a command line.
Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]
#: What is in an environment, before it is made text.
Environment = Mapping[str, object]
#: Host and port.
Address = tuple[str, int]
#: A message of the control connection, or another JSON object.
Message = dict[str, Any]
#: What a standard stream of a process is connected to.
Stream = int | IO[Any] | None


class Server(Protocol):
    """What a client has to know of a relay."""

    @property
    def host(self) -> str:
        """The address it listens on."""

    @property
    def port(self) -> int:
        """The port it listens on."""

    @property
    def ca(self) -> str:
        """The file with the authority of its certificate."""

    @property
    def address(self) -> Address:
        """Host and port."""
