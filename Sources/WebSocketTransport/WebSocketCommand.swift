// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What the handlers behind ``WebSocketHandler`` may ask of it, as an outbound user event.
package enum WebSocketCommand: Hashable, Sendable {
    /// Send a close frame and close the connection once the peer has answered, at the latest after
    /// `WebSocketLimits.closeTimeout`. A code that may not stand in a frame goes out as 1011.
    case close(code: UInt16)
    /// Deliver no more messages, and read nothing more, until ``resume``. From inside the delivery of a message it holds for
    /// the very next one.
    case hold
    /// Go on after ``hold``.
    case resume
}
