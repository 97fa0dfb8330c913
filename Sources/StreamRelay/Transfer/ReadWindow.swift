// SPDX-License-Identifier: Apache-2.0

import ServerSystem
import TLSTransport
import TransferBroker

/// How much of an upload may be read at a time: what the receiver's kernel buffer is sure to take in the same turn, so
/// that nothing large is left over in this process.
///
/// A kernel that is out of memory for sockets may take less than it has room for. Then what is left over of that one
/// read waits here, and nothing more is read until it has left.
enum ReadWindow {
    /// The kernel's buffer for a receiver, as the kernel counts: content and its own overhead.
    struct SendBuffer: Hashable, Sendable {
        /// Bytes it may hold.
        var size: Int
        /// Bytes it holds.
        var queued: Int
    }

    /// The most bytes to read now, after `forwarded` bytes of the stream; `buffer` is nil when it is unknown.
    ///
    /// - Parameter unsent: bytes that wait in this process because the kernel had no room for them. Until it says that
    ///   it has, nothing is written, so the room there may be by now is no use: all that is read would wait as well.
    static func bytes(_ buffer: SendBuffer?, unsent: @autoclosure () -> Int = 0, forwarded: UInt64) -> Int {
        // A receiver that has taken nothing yet may never do: large reads would only make the sender's kernel window
        // grow.
        guard let buffer, forwarded >= Defaults.Stream.provenBytes else { return SystemDefaults.receiveBytes }
        let limit = min(buffer.size, Defaults.Stream.provenUnsentBytes)
        guard buffer.queued < limit, unsent() == 0 else { return SystemDefaults.receiveBytes }
        // Half of the room: the kernel's overhead is nearly half as much as the content when its packets are small.
        let room = (limit - buffer.queued) / 2
        return min(max(room, SystemDefaults.receiveBytes), TLSDefaults.sharedReceiveLength)
    }
}
