// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
internal import TLSTransport

/// How a connection to Redis is ended by this side.
enum ConnectionEnd {
    /// Closes it at once: TLS would wait until what was written has left, and a frozen peer takes nothing.
    static func cut(_ context: ChannelHandlerContext) {
        context.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        context.close(promise: nil)
    }

    /// The same, for whoever has the channel alone.
    static func cut(_ channel: any Channel) {
        channel.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        channel.close(promise: nil)
    }
}
