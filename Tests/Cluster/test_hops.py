# SPDX-License-Identifier: Apache-2.0
"""Metrics of a cluster: streams that took a hop against those that did not."""

import re
import subprocess

from harness import descriptors, metrics
from harness.executables import REPOSITORY
from harness.pairs import Pair
from harness.waiting import until

SIZE = 200_000
# The node of the download, and that of the upload.
WAYS = [(0, 0), (0, 1), (1, 2), (2, 2), (2, 0)]


def totals(ports):
    """Every figure, summed over the nodes."""
    sums: dict[str, float] = {}
    for port in ports:
        for name, value in metrics.scrape(port).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def test_hops_and_direct_streams_add_up(cluster):
    made = cluster("--nodes", "3")
    ports = [made.port_of(url.removesuffix("/metrics")) for url in made.variables["RELAY_METRICS_URLS"].split()]
    assert len(ports) == 3
    until(
        lambda: all(
            metrics.ask(port, "/readyz")[::2] == (200, "ready\n") and metrics.scrape(port)["relay_cluster_nodes"] == 2
            for port in ports
        ),
        30,
        "all nodes see each other",
    )
    nodes = made.members()
    for download, upload in WAYS:
        with Pair(made, download=nodes[download], upload=nodes[upload]) as pair:
            pair.whole(SIZE)
    seen = totals(ports)
    assert seen['relay_transfers_ended_total{outcome="delivered"}'] == len(WAYS)
    assert seen['relay_transfers_ended_total{outcome="failed"}'] == 0
    assert seen['relay_streams_total{to="receiver"}'] == len(WAYS)
    assert seen['relay_streams_total{to="node"}'] == sum(download != upload for download, upload in WAYS)
    assert seen['relay_bytes_relayed_total{to="receiver"}'] == len(WAYS) * SIZE
    hops = sum(download != upload for download, upload in WAYS)
    assert seen['relay_bytes_relayed_total{to="node"}'] == hops * SIZE
    assert seen["relay_transfer_pair_seconds_count"] == seen["relay_stream_duration_seconds_count"] == len(WAYS)
    assert seen["relay_redis_reply_seconds_count"] > 0 and seen['relay_redis_errors_total{kind="unanswered"}'] == 0
    assert seen["relay_redis_connected"] == seen["relay_cluster_joined"] == 3


def test_every_descriptor_of_linked_nodes_is_close_on_exec(three):
    nodes = three.members()
    with Pair(three, receiver=nodes[0], download=nodes[1], upload=nodes[2]) as pair:
        pair.flowing()
        for node in nodes:
            # Three listeners (clients, nodes, admin), two connections to Redis, and at least one to another node.
            pid = node.pid
            until(lambda pid=pid: descriptors.sockets(pid) >= 6, 10, lambda pid=pid: descriptors.named(pid))
            assert not descriptors.inherited(pid)


def test_the_document_names_each_metric_of_a_node_and_no_other(three):
    """With their labels. A node has the metrics of a relay alone, and those of a cluster."""
    document = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")
    rows = document.partition("| metric | what it counts |")[2].partition("\n\n")[0].splitlines()[2:]
    listed = dict(found for row in rows for found in re.findall(r"`([a-z_]+)((?:\{[a-z,]+\})?)`", row.split("|")[1]))
    seen = {}
    url = three.variables["RELAY_METRICS_URLS"].split()[0].removesuffix("/metrics")
    page = metrics.ask(three.port_of(url), "/metrics")[2]
    # What a node has besides, Prometheus takes as well.
    checked = subprocess.run(
        ("promtool", "check", "metrics"), check=False, input=page, capture_output=True, text=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    histograms = set(re.findall(r"(?m)^# TYPE (\w+) histogram$", page))
    for sample in metrics.scrape(three.port_of(url)):
        labels = re.findall(r'([a-z_]+)="', sample)
        name = sample.partition("{")[0]
        family = re.sub("_(bucket|sum|count)$", "", name)
        if family in histograms:
            # Of which the samples are named by the format.
            seen[family] = ""
        else:
            seen[name] = "{" + ",".join(labels) + "}" if labels else ""
    # There is one only where there is a limit.
    seen.setdefault("relay_memory_limit_bytes", "")
    assert listed == seen
