// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore

/// Asks the kernel how a receiver's connection is doing (tcp(7), TCP_INFO).
enum ReceiverSocket {
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

    /// How much `channel`'s socket takes and how much it holds; nil when it is not a socket or the kernel is too old.
    static func sendBuffer(of channel: any Channel) -> ReadAllowance.SendBuffer? {
        try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
            unsafe withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Memory.count) {
                values -> ReadAllowance.SendBuffer? in
                var length = socklen_t(Memory.count * MemoryLayout<UInt32>.size)
                guard unsafe getsockopt(socket, SOL_SOCKET, Memory.option, values.baseAddress, &length) == 0,
                    Int(length) > Memory.queued * MemoryLayout<UInt32>.size
                else { return nil }
                return unsafe ReadAllowance.SendBuffer(
                    size: Int(values[Memory.sendBuffer]), queued: Int(values[Memory.queued]))
            }
        } ?? nil
    }

    /// The state of `channel`'s connection; nil when it is not a TCP socket or the kernel is too old to tell.
    static func state(of channel: any Channel) -> StreamMachine.ReceiverState? {
        try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
            unsafe withUnsafeTemporaryAllocation(byteCount: 256, alignment: 8) { info -> StreamMachine.ReceiverState? in
                var length = socklen_t(info.count)
                guard unsafe getsockopt(socket, Int32(IPPROTO_TCP), TCP_INFO, info.baseAddress, &length) == 0,
                    Int(length) >= Offset.end
                else { return nil }
                let silence = unsafe info.load(fromByteOffset: Offset.lastAcknowledgementMilliseconds, as: UInt32.self)
                return unsafe StreamMachine.ReceiverState(
                    acknowledged: info.load(fromByteOffset: Offset.acknowledgedBytes, as: UInt64.self),
                    hasUnacknowledged: info.load(fromByteOffset: Offset.unacknowledgedPackets, as: UInt32.self) > 0,
                    sinceAcknowledgement: .milliseconds(Int64(silence))
                )
            }
        } ?? nil
    }
}
