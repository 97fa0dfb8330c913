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
