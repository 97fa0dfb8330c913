// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Where a pipe's bytes go: the receiver's connection, or the node that holds it. On the pipe's event loop only.
protocol StreamSink: AnyObject {
    /// Whether the connection takes more.
    var isWritable: Bool { get }
    /// What the kernel knows about the far end.
    var receiverState: StreamMachine.ReceiverState? { get }
    /// What the kernel's buffer for the far end takes.
    var sendBuffer: ReadWindow.SendBuffer? { get }
    /// Bytes that wait in this process until the kernel takes more.
    var unsentBytes: Int { get }

    /// The far end takes what it gets: the kernel may hold more for it.
    func peerIsConsuming()
    /// The body begins; without a length it is chunked.
    func start(length: UInt64?)
    /// Writes content; ``flush()`` sends it.
    func write(_ content: ByteBuffer)
    /// Sends what was written.
    func flush()
    /// Sends the end of the body, and tells the pipe when everything has been handed over.
    func finish()
    /// Closes as complete.
    func close()
    /// Closes so that the receiver does not take the body for complete.
    func cut(_ code: FailureCode)
    /// Refuses a body that has not begun.
    func refuse(_ code: FailureCode)
}
