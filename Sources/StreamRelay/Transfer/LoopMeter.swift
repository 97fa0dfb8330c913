// SPDX-License-Identifier: Apache-2.0

import Synchronization
package import TransferBroker
package import WSProtocol

/// What goes through the streams of one event loop, chunk by chunk.
///
/// Only that loop adds, so nothing has to be locked, nor any processor kept from another; any thread reads, and may see
/// a figure a moment late.
final class LoopMeter: Sendable {
    private let toReceivers = Atomic<UInt64>(0)
    private let toNodes = Atomic<UInt64>(0)
    private let pauses = Atomic<UInt64>(0)

    /// Content has been passed on; on the meter's event loop.
    func forwarded(_ bytes: Int, isHop: Bool) {
        if isHop { Self.add(UInt64(bytes), to: toNodes) } else { Self.add(UInt64(bytes), to: toReceivers) }
    }

    /// A sender has to wait for its receiver; on the meter's event loop.
    func heldBack() { Self.add(1, to: pauses) }

    func add(to figures: inout StreamFigures) {
        figures.bytesToReceivers &+= toReceivers.load(ordering: .relaxed)
        figures.bytesToNodes &+= toNodes.load(ordering: .relaxed)
        figures.heldBack &+= pauses.load(ordering: .relaxed)
    }

    /// Two plain moves instead of a locked addition, as there is one writer.
    private static func add(_ count: UInt64, to figure: borrowing Atomic<UInt64>) {
        figure.store(figure.load(ordering: .relaxed) &+ count, ordering: .relaxed)
    }
}

/// What has gone through the streams of this node since its start.
package struct StreamFigures: Hashable, Sendable, Codable {
    /// Bytes of content into receivers' connections, and on to other nodes.
    package var bytesToReceivers: UInt64 = 0
    package var bytesToNodes: UInt64 = 0
    /// How often a sender had to wait because what follows it took no more.
    package var heldBack: UInt64 = 0
    /// Streams to receivers that ended: with every byte handed over, or early, by the reason.
    package var finished: UInt64 = 0
    package var cuts: [FailureCode: UInt64] = [:]
    /// From the receiver's request to the first byte for it.
    package var firstByteTimes = Histogram(.waits)
    /// From the joining of both halves to the end of the stream.
    package var durations = Histogram(.spans)

    package init() {}
}
