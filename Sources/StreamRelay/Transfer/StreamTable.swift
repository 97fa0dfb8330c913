// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import Synchronization
package import TransferBroker
package import WSProtocol

/// The streams this process holds, parked or flowing, each on the event loop it lives on.
package final class StreamTable: StreamControl {
    /// Where one stream is.
    package struct Location: Sendable {
        package let loop: any EventLoop
        private let pipe: NIOLoopBound<Pipe>
        fileprivate let identity: ObjectIdentifier

        fileprivate init(_ pipe: Pipe, loop: any EventLoop) {
            self.loop = loop
            identity = ObjectIdentifier(pipe)
            self.pipe = NIOLoopBound(pipe, eventLoop: loop)
        }

        /// The stream itself; only on ``loop``.
        package func stream() -> Pipe { pipe.value }
    }

    /// In a structure: a closure that is itself the value of a mutex is wrapped once more by each access.
    private struct Callback {
        var call: (@Sendable () -> Void)?
    }

    private let places = Mutex<[StreamKey: Location]>([:])
    private let emptied = Mutex(Callback())
    private let joins = Mutex(StreamCounts())
    private let figures = Mutex(StreamFigures())
    /// One for each event loop that streams: there are as many as processors.
    private let meters = Mutex<[ObjectIdentifier: LoopMeter]>([:])

    package init() {}

    /// How many streams there are.
    package var count: Int { places.withLock { $0.count } }

    /// How many streams have been joined since the start.
    package var counts: StreamCounts { joins.withLock { $0 } }

    /// A stream was joined here; `isHop` when its bytes go on to another node.
    package func joined(isHop: Bool) {
        joins.withLock { if isHop { $0.toNodes &+= 1 } else { $0.toReceivers &+= 1 } }
    }

    /// The first byte of a stream has gone to its receiver.
    func began(after time: TimeAmount) { figures.withLock { $0.firstByteTimes.record(time) } }

    /// A stream to a receiver has ended, `time` after its halves were joined; nil if they never were.
    func ended(_ code: FailureCode?, after time: TimeAmount?) {
        figures.withLock { figures in
            if let code { figures.cuts[code, default: 0] &+= 1 } else { figures.finished &+= 1 }
            if let time { figures.durations.record(time) }
        }
    }

    /// The counters of `loop`, for those that live on it.
    func meter(of loop: any EventLoop) -> LoopMeter {
        meters.withLock { meters in
            if let meter = meters[ObjectIdentifier(loop)] { return meter }
            let meter = LoopMeter()
            meters[ObjectIdentifier(loop)] = meter
            return meter
        }
    }

    /// What has gone through so far, running streams included.
    package var flow: StreamFigures {
        var flow = figures.withLock { $0 }
        for meter in meters.withLock({ Array($0.values) }) { meter.add(to: &flow) }
        return flow
    }

    /// Where `stream` is; nil when this process holds none.
    package func place(of stream: StreamKey) -> Location? { places.withLock { $0[stream] } }

    package func end(_ stream: StreamKey, _ outcome: TransferOutcome) {
        guard let place = place(of: stream) else { return }
        place.loop.execute { place.stream().end(outcome) }
    }

    package func abortAll(of home: NodeID, code: FailureCode) {
        let places = places.withLock { $0.filter { $0.key.home == home }.map(\.value) }
        for place in places { place.loop.execute { place.stream().abort(code) } }
    }

    /// Cuts every stream; one future for each, which fails on a loop that does not run any more and has no streams.
    package func abortEverything(code: FailureCode) -> [EventLoopFuture<Void>] {
        places.withLock { Array($0.values) }.map { place in place.loop.submit { place.stream().abort(code) } }
    }

    /// At most `limit` streams that are here.
    package func keys(limit: Int, where isWanted: (StreamKey) -> Bool) -> [StreamKey] {
        places.withLock { places in
            var keys: [StreamKey] = []
            for key in places.keys where isWanted(key) {
                guard keys.count < limit else { break }
                keys.append(key)
            }
            return keys
        }
    }

    /// How many bytes have gone through `stream` so far; nil when it is not here. Fails with its event loop.
    package func bytes(of stream: StreamKey) -> EventLoopFuture<UInt64>? {
        place(of: stream).map { place in place.loop.submit { place.stream().forwardedBytes } }
    }

    /// Adds a stream; on `loop`.
    package func add(_ pipe: Pipe, loop: any EventLoop) {
        let place = Location(pipe, loop: loop)
        places.withLock { $0[pipe.key] = place }
    }

    /// Removes a stream, unless another one has taken its place.
    package func remove(_ pipe: Pipe) {
        let removed = places.withLock { places -> (@Sendable () -> Void)? in
            guard places[pipe.key]?.identity == ObjectIdentifier(pipe) else { return nil }
            places[pipe.key] = nil
            return places.isEmpty ? emptied.withLock { $0.call } : nil
        }
        removed?()
    }

    /// Calls `callback` from now on whenever the last stream has gone.
    package func onEmptied(_ callback: @escaping @Sendable () -> Void) {
        emptied.withLock { $0.call = callback }
    }
}

/// Streams that were joined on this node since its start, by where their bytes went.
package struct StreamCounts: Hashable, Sendable, Codable {
    /// Straight into a receiver's connection, whether they came from a sender or from another node.
    package var toReceivers: UInt64 = 0
    /// Into another node, which holds the receiver's connection.
    package var toNodes: UInt64 = 0

    package init(toReceivers: UInt64 = 0, toNodes: UInt64 = 0) {
        self.toReceivers = toReceivers
        self.toNodes = toNodes
    }
}
