// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol
import WebSocketTransport

/// Puts what the relay says, decoded, into a bounded queue, and the reason of the end behind it.
final class ControlMessageHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    typealias Messages = AsyncThrowingStream<ServerMessage, any Error>

    private let queue: Messages.Continuation
    private let relay: RelayURL
    private var isOver = false

    init(queue: Messages.Continuation, relay: RelayURL) {
        self.queue = queue
        self.relay = relay
    }

    /// The connection may have ended while it was being upgraded: then nothing else tells this handler.
    func handlerAdded(context: ChannelHandlerContext) {
        if !context.channel.isActive { end(ConnectionError(closed: nil, reason: .lost, relay: relay)) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(ConnectionError(closed: nil, reason: .lost, relay: relay))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isOver else { return }
        switch MessageCodec.decodeServerMessage(Self.unwrapInboundIn(data)) {
        case .success(let message):
            if case .dropped = queue.yield(message) { breach("it sends faster than anyone could read", context) }
        case .failure(let malformed) where malformed.code == .unknownType:
            break  // A newer relay may say more than this client knows.
        case .failure:
            breach("it sent a message that is not of the protocol", context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .closed(let code, let reason)? = event as? WebSocketEvent {
            end(ConnectionError(closed: code, reason: reason, relay: relay))
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(ConnectionError(closed: nil, reason: .lost, relay: relay))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(ConnectionError(closed: nil, reason: .lost, relay: relay))
        context.fireChannelInactive()
    }

    private func breach(_ what: String, _ context: ChannelHandlerContext) {
        end(
            ConnectionError(
                .session, "\(relay) broke the protocol: \(what)", advice: "check that it is a relay of this version",
                status: .protocolBreach
            )
        )
        context.triggerUserOutboundEvent(
            WebSocketCommand.close(code: WebSocketCloseCode.protocolError.rawValue), promise: nil
        )
    }

    private func end(_ error: ConnectionError) {
        guard !isOver else { return }
        isOver = true
        queue.finish(throwing: error)
    }
}

@available(*, unavailable)
extension ControlMessageHandler: Sendable {}
