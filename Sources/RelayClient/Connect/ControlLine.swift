// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// A control connection as a session uses it.
protocol ControlLine: Sendable {
    /// What the relay says, in order. Ends by throwing a ``ConnectionError``.
    var messages: ControlMessageHandler.Messages { get }
    /// Sends a message without waiting for it to leave. That the connection is gone is told by the end of ``messages``.
    func post(_ message: ClientMessage)
    /// A request id that was not used yet.
    func nextID() -> RequestID
    /// Says goodbye, and waits until the connection is closed, for a second at most.
    func close() async
    /// Closes without a word.
    func abort()
}

extension ControlConnection: ControlLine {}
