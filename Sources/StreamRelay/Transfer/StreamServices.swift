// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TLSTransport

/// What one stream needs of the rest of the node.
package struct StreamServices: Sendable {
    /// Hears what becomes of the stream.
    package let transfers: any TransferDirectory
    /// The streams that this process holds.
    package let streams: StreamTable
    /// The memory that streams are moved through.
    package let memory: StreamMemory

    package init(transfers: any TransferDirectory, streams: StreamTable, memory: StreamMemory) {
        self.transfers = transfers
        self.streams = streams
        self.memory = memory
    }
}

/// The large buffers of this process: one set for each event loop that streams, not for each stream.
package final class StreamMemory: Sendable {
    private let sets = Mutex<[ObjectIdentifier: NIOLoopBound<SharedBuffers>]>([:])

    package init() {}

    /// The set of `loop`, which the caller is on.
    func buffers(of loop: any EventLoop) -> SharedBuffers {
        sets.withLock { sets in
            if let set = sets[ObjectIdentifier(loop)] { return set }
            let set = NIOLoopBound(SharedBuffers(), eventLoop: loop)
            sets[ObjectIdentifier(loop)] = set
            return set
        }.value
    }
}
