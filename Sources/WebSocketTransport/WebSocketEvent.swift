// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What ``WebSocketHandler`` tells the handlers behind it, as an inbound user event.
package enum WebSocketEvent: Hashable, Sendable {
    /// No more messages come and none can be sent. Comes exactly once, before `channelInactive`.
    ///
    /// `code` is that of the close frame that decided it, the peer's or ours; nil when there was none.
    case closed(code: UInt16?, reason: WebSocketClosing)
}
