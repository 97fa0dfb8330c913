// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import NIOWebSocket
package import WSProtocol

/// Puts a WebSocket on a connection whose upgrade is done.
package enum WebSocketPipeline {
    /// Adds the frame encoder and ``WebSocketHandler`` at the end of the pipeline. On the channel's
    /// event loop only. From then on the handlers behind read and write a `ByteBuffer` for each text message.
    ///
    /// Anything that was read behind the upgrade's head has to be fired into the pipeline afterwards.
    ///
    /// - Throws: `ChannelError` when the channel is closed already.
    package static func install(
        on pipeline: ChannelPipeline.SynchronousOperations, role: WebSocketRole, limits: WebSocketLimits = .init(),
        heartbeat: WebSocketHeartbeat = .init()
    ) throws {
        try pipeline.addHandler(WebSocketFrameEncoder())
        try pipeline.addHandler(WebSocketHandler(role: role, limits: limits, heartbeat: heartbeat))
    }
}

/// What the handlers behind ``WebSocketHandler`` may ask of it, as an outbound user event.
package enum WebSocketCommand: Hashable, Sendable {
    /// Send a close frame and close the connection once the peer has answered, at the latest after
    /// `ProtocolDefaults.closeTimeout`. A code that may not stand in a frame goes out as 1011.
    case close(code: UInt16)
    /// Deliver no more messages, and read nothing more, until ``resume``. From inside the delivery of a message it
    /// holds for the very next one.
    case hold
    /// Go on after ``hold``.
    case resume
}

/// What ``WebSocketHandler`` tells the handlers behind it, as an inbound user event.
package enum WebSocketEvent: Hashable, Sendable {
    /// Messages neither arrive nor can be sent from now on. Fired exactly once, before `channelInactive`.
    ///
    /// `code` is that of the close frame that decided it, the peer's or ours; nil when there was none.
    case closed(code: UInt16?, reason: WebSocketClosing)
}

/// Why a message was not sent.
package enum WebSocketWriteError: Error, Hashable, Sendable {
    /// The connection is closing or closed.
    case closed
    /// The message is longer than `MessageCodec.maximumLength`.
    case messageTooLong
    /// The peer does not read, and too much waits for it already; the connection is being closed with 1008.
    case slowReader
}
