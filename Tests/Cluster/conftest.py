# SPDX-License-Identifier: Apache-2.0
"""Clusters for tests, and proof that they are gone."""

import shutil

import pytest

from harness import cluster as clusters
from harness import processes
from harness.trial import Trial


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
    made: list[clusters.Cluster] = []

    def make(*arguments, **options):
        made.append(clusters.Cluster(binaries, tmp_path / f"cluster{len(made)}", *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def trial(cluster, tmp_path):
    """Three nodes behind HAProxy, and everything watched: `with trial() as t:`."""

    def make(*arguments):
        return Trial(cluster(*arguments), tmp_path)

    return make


@pytest.fixture(scope="module")
def three(binaries, tmp_path_factory):
    """Three nodes for tests that leave them as they were."""
    with processes.shared():
        made = clusters.Cluster(binaries, tmp_path_factory.mktemp("three"))
    yield made
    assert made.stop() == 0
    made.process.temporary.rmdir()  # which is an error when something is in it
