// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore

/// The socket of a receiver's connection, which is asked how that connection is doing (tcp(7), TCP_INFO).
///
/// Must not outlive its channel: its owner lets go of it when the channel becomes inactive. NIO's own way to the
/// descriptor looks types up by their names each time, which is too slow for every read.
struct ReceiverSocket {
    /// Offsets into the kernel's `struct tcp_info`, whose layout is part of Linux's binary interface.
    private enum Offset {
        static let unacknowledgedPackets = 24
        static let lastAcknowledgementMilliseconds = 56
        static let acknowledgedBytes = 120
        static let end = 128
    }

    /// Indices into what SO_MEMINFO tells (socket(7)): numbers of 32 bits.
    private enum Memory {
        static let option: Int32 = 55
        static let sendBuffer = 3
        static let queued = 5
        static let count = 9
    }

    private let descriptor: NIOBSDSocket.Handle

    /// Nil when `channel` is not a socket. On its event loop.
    init?(_ channel: any Channel) {
        let found = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self, { $0 })
        guard let descriptor = found ?? nil else { return nil }
        self.descriptor = descriptor
    }

    /// How much it takes and how much it holds; nil when the kernel is too old to tell.
    var sendBuffer: ReadWindow.SendBuffer? {
        unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Memory.count) { values in
            var length = socklen_t(Memory.count * MemoryLayout<UInt32>.size)
            guard unsafe getsockopt(descriptor, SOL_SOCKET, Memory.option, values.baseAddress, &length) == 0,
                Int(length) > Memory.queued * MemoryLayout<UInt32>.size
            else { return nil }
            return unsafe ReadWindow.SendBuffer(
                size: Int(values[Memory.sendBuffer]), queued: Int(values[Memory.queued]))
        }
    }

    /// Lets the kernel take `bytes` beyond what is on its way (tcp(7), TCP_NOTSENT_LOWAT).
    func allowUnsent(_ bytes: Int) {
        var value = CInt(bytes)
        // Where it cannot be set, no limit is.
        _ = unsafe setsockopt(
            descriptor, Int32(IPPROTO_TCP), TCP_NOTSENT_LOWAT, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    /// The state of the connection; nil when it is not TCP or the kernel is too old to tell.
    var state: StreamMachine.ReceiverState? {
        unsafe withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { info in
            var length = socklen_t(info.count)
            guard unsafe getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &length) == 0,
                Int(length) >= Offset.end
            else { return nil }
            let silence = unsafe info.load(fromByteOffset: Offset.lastAcknowledgementMilliseconds, as: UInt32.self)
            return unsafe StreamMachine.ReceiverState(
                acknowledged: info.load(fromByteOffset: Offset.acknowledgedBytes, as: UInt64.self),
                hasUnacknowledged: info.load(fromByteOffset: Offset.unacknowledgedPackets, as: UInt32.self) > 0,
                sinceAcknowledgement: .milliseconds(Int64(silence))
            )
        }
    }
}
