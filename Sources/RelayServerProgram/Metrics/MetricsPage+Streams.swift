// SPDX-License-Identifier: Apache-2.0

import RelayNode
import StreamRelay
import TransferBroker
import WSProtocol

extension MetricsPage {
    /// What goes through the streams of this node, those that run included.
    static func streams(_ snapshot: MetricsSnapshot) -> [MetricFamily] {
        let (flow, counts) = (snapshot.flow, snapshot.status.streams)
        return [
            MetricFamily(
                .gauge, "relay_streams", snapshot.streams, "Streams on this node, parked or flowing."
            ),
            MetricFamily(
                .counter, "relay_streams_total", by: "to",
                ["receiver": counts.toReceivers, "node": counts.toNodes],
                "Streams that were joined here: straight into the receiver's connection, or on to another node."
            ),
            MetricFamily(
                .counter, "relay_bytes_relayed_total", by: "to",
                ["receiver": flow.bytesToReceivers, "node": flow.bytesToNodes],
                "Bytes of content that went through, as they go: into receivers' connections, or on to other nodes."
            ),
            MetricFamily(
                .counter, "relay_streams_finished_total", flow.finished,
                "Streams to receivers of which every byte was handed over."
            ),
            MetricFamily(
                .counter, "relay_streams_cut_total", by: "code", flow.cuts.of(FailureCode.allCases),
                "Streams to receivers that ended early, by the reason; stalled is one that stood still for too long."
            ),
            MetricFamily(
                .counter, "relay_streams_held_back_total", flow.heldBack,
                "How often a sender had to wait because what follows it took no more."
            ),
            MetricFamily(
                "relay_stream_first_byte_seconds", flow.firstByteTimes,
                "From the receiver's request to the first byte for it."
            ),
            MetricFamily(
                "relay_stream_duration_seconds", flow.durations,
                "From the joining of both halves to the end of the stream."
            ),
        ]
    }
}

extension [FailureCode: UInt64] {
    /// A figure for each of `codes`, 0 where there is none yet, so that a rate of the first hour is right too.
    func of(_ codes: [FailureCode]) -> [(key: String, value: UInt64)] {
        codes.map { ($0.rawValue, self[$0] ?? 0) }
    }
}
