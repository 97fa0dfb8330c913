# SPDX-License-Identifier: Apache-2.0
"""A transfer whose clients were killed goes on where it was: little is read again, and soon."""

import pytest

from harness.content import MiB
from proofs import resume


@pytest.mark.alone
@pytest.mark.slow
def test_a_resumed_transfer_reads_only_what_is_left(own_relay, large):
    relay = own_relay(registration="open", level="notice")
    outcome = resume.measured(relay, large, 512 * MiB)
    print(outcome.table())
    assert list(outcome.problems()) == []
