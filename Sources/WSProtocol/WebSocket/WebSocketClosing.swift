// SPDX-License-Identifier: Apache-2.0

/// Why a WebSocket is over.
package enum WebSocketClosing: Hashable, Sendable {
    /// The peer closed it, with this text of its own (up to 123 bytes; to be escaped before a person sees it).
    case peer(String)
    /// This side asked for it.
    case local
    /// The peer broke a rule, did not answer or did not read.
    case violation(WebSocketViolation)
    /// The connection ended without a close frame.
    case lost
}
