# SPDX-License-Identifier: Apache-2.0
"""Nothing of a transfer is on a disk of a cluster: no node makes a file, or writes to one, while bytes cross it."""

import pytest

from proofs import secrets


@pytest.mark.slow
def test_no_node_makes_a_file_or_writes_to_one_while_bytes_cross(cluster, tmp_path):
    nodes = cluster(env={"RELAY_LOG_LEVEL": "notice"})
    folder = tmp_path / "people"
    folder.mkdir()
    assert list(secrets.stored_by_nodes(nodes, folder)) == []
