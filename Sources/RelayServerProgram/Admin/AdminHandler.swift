// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import ServerSystem
import TransferBroker

/// Serves one connection of the admin socket: one request, one reply, closed.
final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let responder: AdminResponder
    private var assembler = LineAssembler(limit: Defaults.Admin.maximumRequest)
    private var isAnswered = false
    private var deadline: Scheduled<Void>?
    private var peer = AdminPeer.unknown

    init(_ responder: AdminResponder) { self.responder = responder }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        peer = AdminPeer(of: channel)
        deadline = context.eventLoop.scheduleTask(in: .seconds(Defaults.Admin.exchangeTimeout)) {
            channel.close(promise: nil)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAnswered else { return }
        switch assembler.feed(Self.unwrapInboundIn(data)) {
        case .needMore: return
        case .tooLong: answer(nil, context)
        case .line(let line): answer(AdminLine.decode(AdminRequest.self, line), context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func answer(_ request: AdminRequest?, _ context: ChannelHandlerContext) {
        isAnswered = true
        let channel = context.channel
        let (responder, peer) = (responder, peer)
        // Asked by hand, a few times a day: a task costs nothing that matters here.
        let exchange = context.eventLoop.makeFutureWithTask { () -> (reply: AdminReply, line: ByteBuffer) in
            let reply =
                if let request {
                    await responder.reply(to: request, by: peer)
                } else {
                    AdminReply.failed(
                        message: "the server does not understand the request: are server and command of one version?",
                        exit: ExitStatus.protocolError.rawValue
                    )
                }
            return (reply, try AdminLine.encode(reply))
        }
        exchange.whenComplete { result in
            let answer = try? result.get()
            let written = answer.map { channel.writeAndFlush($0.line) } ?? channel.eventLoop.makeSucceededVoidFuture()
            written.whenComplete { _ in
                channel.close(promise: nil)
                if case .drain? = request { responder.server.drain() }
                // Not for one that was refused, as another restart may wait for its own answer.
                if case .restarted? = answer?.reply { responder.server.restartAnswered() }
            }
        }
    }
}

extension AdminPeer {
    /// What the kernel gives as the credentials of a Unix socket's other end (`struct ucred`).
    private struct Credentials {
        var process: Int32 = 0
        var user: UInt32 = 0
        var group: UInt32 = 0
    }

    /// Who is at the other end of `channel`.
    fileprivate init(of channel: any Channel) {
        guard let provider = channel as? any SocketOptionProvider else {
            self = .unknown
            return
        }
        let answer: EventLoopFuture<Credentials> = provider.unsafeGetSocketOption(
            level: .socket, name: .init(rawValue: SO_PEERCRED))
        // A channel of a socket answers at once on its own event loop.
        let found = FoundPeer()
        answer.assumeIsolated().whenSuccess { found.peer = AdminPeer(user: $0.user, process: $0.process) }
        self = found.peer
    }
}

/// What a callback has found.
private final class FoundPeer {
    var peer = AdminPeer.unknown
}
