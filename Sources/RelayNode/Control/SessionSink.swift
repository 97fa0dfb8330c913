// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import WSProtocol

/// Where messages to one control connection of this node go. Safe to call from any thread.
package protocol SessionSink: Sendable {
    /// Sends `message`, after everything that was handed over before; nothing happens when the connection is gone.
    func send(_ message: ServerMessage)

    /// Closes the connection, after everything that was handed over before.
    func close(_ code: WebSocketCloseCode)
}
