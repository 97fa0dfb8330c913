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

/// The sink of a connection with a ``ControlHandler`` at the end of its pipeline.
struct ChannelSink: SessionSink {
    let channel: any Channel

    func send(_ message: ServerMessage) { write(.message(message)) }

    func close(_ code: WebSocketCloseCode) { write(.close(code)) }

    /// Always by way of the loop's queue, even on the loop itself: a write made there at once would overtake one that
    /// another thread has queued a moment ago.
    private func write(_ output: SessionOutput) {
        channel.eventLoop.execute { channel.writeAndFlush(output, promise: nil) }
    }
}

/// What a ``ControlHandler`` is given to write.
enum SessionOutput: Hashable, Sendable {
    case message(ServerMessage)
    case close(WebSocketCloseCode)
}
