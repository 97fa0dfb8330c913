// SPDX-License-Identifier: Apache-2.0

/// Why a message was not sent.
package enum WebSocketWriteError: Error, Hashable, Sendable {
    /// The connection is closing or closed.
    case closed
    /// The message is longer than `WebSocketLimits.messageLength`.
    case messageTooLong
    /// The peer does not read, and too much waits for it already; the connection is being closed with 1008.
    case slowReader
}
