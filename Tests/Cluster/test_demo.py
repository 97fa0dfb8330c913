# SPDX-License-Identifier: Apache-2.0
"""cluster/demo: 200 files between clients on three nodes through each balancer, at least half of them across nodes."""

import re

import pytest

from harness.cluster import up
from harness.executables import REPOSITORY


@pytest.mark.parametrize(
    ("balancer", "count"),
    [
        pytest.param("haproxy", 200, marks=pytest.mark.slow),
        pytest.param("nginx", 200, marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param("haproxy-tls", 200, marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param("nginx-tls", 200, marks=[pytest.mark.slow, pytest.mark.long]),
        ("nginx", 20),
        ("haproxy-tls", 20),
    ],
)
@pytest.mark.timeout(300)
def test_files_arrive_whole_wherever_their_halves_land(binaries, tmp_path, balancer, count):
    demo = (REPOSITORY / "cluster/demo", "--transfers", str(count))
    process = up(binaries, tmp_path / "c", "--balancer", balancer, "--", *demo)
    process.expect(0, 280)
    said = re.search(r"(\d+) files to \d+ receivers on 3 nodes in [\d.]+ s: 0 failed, (\d+) crossed", process.out())
    assert said and int(said[1]) == count and int(said[2]) * 2 >= count, process.out()


@pytest.mark.slow
def test_a_file_that_is_not_what_was_sent_counts_as_failed(binaries, tmp_path):
    """A stored file is changed: the demonstration reports it, and fails."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "relay-client").write_text(
        "#!/bin/sh\n"
        f'"{binaries}/relay-client" "$@" || exit\n'
        # The sender's own file is what the script compares with in memory: spoil what was stored.
        f'[ "$1" != send ] || find "$(dirname "$3")/.." -path "*inbox/file-*" -exec sh -c "echo spoiled >>{{}}" ";"\n'
    )
    (fake / "relay-client").chmod(0o755)
    (fake / "relay-server").symlink_to(binaries / "relay-server")
    demo = (REPOSITORY / "cluster/demo", "--transfers", "4", "--size", "1")
    process = up(fake, tmp_path / "c", "--nodes", "1", "--", *demo)
    process.expect(1, 100)
    assert "4 failed" in process.out(), process.tail()
