// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// Where NIO gets the buffer for each read of an upload: from the pipe, which knows how much may be read.
struct StreamReceiveAllocator: RecvByteBufferAllocator {
    private let pipe: NIOLoopBound<Pipe>
    private var hasRead = false

    /// Reads for `pipe`, on `loop`.
    init(_ pipe: Pipe, loop: any EventLoop) {
        self.pipe = NIOLoopBound(pipe, eventLoop: loop)
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        // The channel never lets go of the first one.
        hasRead ? pipe.value.receiveBuffer() : allocator.buffer(capacity: Defaults.Stream.firstReceiveBytes)
    }

    /// Nil: the channel must not keep a buffer for its next read.
    func nextBufferSize() -> Int? { nil }

    /// Always true, which makes the channel ask for a buffer before each read.
    mutating func record(actualReadBytes: Int) -> Bool {
        hasRead = true
        return true
    }
}
