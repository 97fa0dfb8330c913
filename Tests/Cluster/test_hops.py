# SPDX-License-Identifier: Apache-2.0
"""Metrics of a cluster: streams that took a hop against those that did not."""

from harness import metrics, raw
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import until

SIZE = 200_000
# The node of the download, and that of the upload.
WAYS = [(0, 0), (0, 1), (1, 2), (2, 2), (2, 0)]


def totals(ports):
    """Every figure, summed over the nodes."""
    sums = {}
    for port in ports:
        for name, value in metrics.scrape(port).items():
            sums[name] = sums.get(name, 0) + value
    return sums


def transfer(made, pair, download_node, upload_node):
    """One whole transfer with its halves on these nodes."""
    offer, start = pair.accepted()
    with (
        raw.Connection(("127.0.0.1", made.nodes[download_node]), made.ca) as download,
        raw.Connection(("127.0.0.1", made.nodes[upload_node]), made.ca) as upload,
    ):
        download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
        bearer = f"Authorization: Bearer {offer.start().token}"
        upload.send(raw.request("PUT", "/upload", bearer, f"Content-Length: {SIZE}", body=b"x" * SIZE))
        assert download.head().status == 200
        wait_for_bytes(download, SIZE)
        assert upload.answer(method="PUT").status == 200
    pair.receiver.delivered(offer.transfer, SIZE, "0" * 64)
    assert offer.delivered()["size"] == SIZE


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
    with Pair(made) as pair:
        for way in WAYS:
            transfer(made, pair, *way)
    seen = totals(ports)
    assert seen['relay_transfers_ended_total{outcome="delivered"}'] == len(WAYS)
    assert seen['relay_transfers_ended_total{outcome="failed"}'] == 0
    assert seen['relay_streams_total{to="receiver"}'] == len(WAYS)
    assert seen['relay_streams_total{to="node"}'] == sum(download != upload for download, upload in WAYS)
    assert seen["relay_bytes_relayed_total"] == len(WAYS) * SIZE
    assert seen["relay_redis_connected"] == seen["relay_cluster_joined"] == 3
