# SPDX-License-Identifier: Apache-2.0
"""Programs for which file permissions count, also where the tests run as root."""

import os

#: Takes root's power over permissions away.
_WITHOUT_POWER = (
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
)


def mortal() -> tuple[str, ...]:
    """What to put in front of a command."""
    return _WITHOUT_POWER if os.geteuid() == 0 else ()
