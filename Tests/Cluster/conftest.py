# SPDX-License-Identifier: Apache-2.0
"""Clusters for tests, and proof that they are gone."""

import shutil

import pytest

from harness import cluster as clusters


@pytest.fixture(autouse=True)
def nothing_left_in_temporary_folders(no_leftovers):
    """Every cluster has removed its folder when the test ends."""
    clusters.temporaries.clear()
    yield
    left = [str(path) for each in clusters.temporaries for path in each.iterdir()]
    for each in clusters.temporaries:
        shutil.rmtree(each, ignore_errors=True)
    assert not left, left


@pytest.fixture
def cluster(binaries, tmp_path):
    """Makes clusters: `cluster("--nodes", "2")`. They are gone when the test ends."""
    made = []

    def make(*arguments, **options):
        made.append(clusters.Cluster(binaries, tmp_path / f"cluster{len(made)}", *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()
