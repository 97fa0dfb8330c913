// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import WSProtocol

/// The streams this process holds, parked or flowing, each on the event loop it lives on.
final class StreamTable: StreamControl {
    /// Where one stream is.
    struct Place: Sendable {
        let loop: any EventLoop
        private let pipe: NIOLoopBound<Pipe>

        fileprivate init(_ pipe: Pipe, loop: any EventLoop) {
            self.loop = loop
            self.pipe = NIOLoopBound(pipe, eventLoop: loop)
        }

        /// The stream itself; only on ``loop``.
        func stream() -> Pipe { pipe.value }
    }

    private let places = Mutex<[TransferID: Place]>([:])

    /// How many streams there are.
    var count: Int { places.withLock { $0.count } }

    /// Where `transfer`'s stream is; nil when this process holds none.
    func place(of transfer: TransferID) -> Place? { places.withLock { $0[transfer] } }

    func abort(_ transfer: TransferID, code: FailureCode) {
        guard let place = place(of: transfer) else { return }
        place.loop.execute { place.stream().abort(code) }
    }

    /// Adds a stream; on `loop`.
    func add(_ pipe: Pipe, loop: any EventLoop) {
        let place = Place(pipe, loop: loop)
        places.withLock { $0[pipe.transfer] = place }
    }

    /// Removes a stream.
    func remove(_ transfer: TransferID) {
        _ = places.withLock { $0.removeValue(forKey: transfer) }
    }
}
