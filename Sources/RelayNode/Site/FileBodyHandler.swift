// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import ServerSystem
import TLSTransport
import TransferBroker

/// Sends a file as its client takes it: one block is read, on a thread that may wait for the disk, once the one before
/// is in the kernel's hands. On the connection's event loop only.
final class FileBodyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let start: ByteBuffer
    private let file: ServedFile
    private var rest: Range<Int64>
    private let place: SitePlace
    private var context: ChannelHandlerContext?
    private var stall: Scheduled<Void>?

    /// - Parameters:
    ///   - start: the head and the first bytes.
    ///   - rest: where the others are in `file`.
    ///   - place: kept as long as the file is sent.
    init(_ start: ByteBuffer, then rest: Range<Int64>, of file: ServedFile, place: SitePlace) {
        (self.start, self.rest, self.file, self.place) = (start, rest, file, place)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        send(start)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        stall?.cancel()
        self.context = nil
    }

    private func send(_ block: ByteBuffer) {
        guard let context else { return }
        stall?.cancel()
        stall = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Site.stallTimeout) { self.abort() }
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess { self.readOn() }
        context.writeAndFlush(Self.wrapOutboundOut(block), promise: sent)
    }

    private func readOn() {
        guard let context else { return }
        guard !rest.isEmpty else { return context.close(promise: nil) }
        let (from, count) = (rest.lowerBound, Int(min(Int64(rest.count), Int64(Defaults.Site.blockBytes))))
        rest = (from + Int64(count))..<rest.upperBound
        NIOThreadPool.singleton.runIfActive(eventLoop: context.eventLoop) { [file] in
            try file.read(at: from, count: count)
        }.assumeIsolated().whenComplete { result in
            // A file that became shorter has no such bytes: what was promised cannot be sent, and the client must see
            // that.
            guard case .success(let block) = result, block.readableBytes == count else { return self.abort() }
            self.send(block)
        }
    }

    /// Ends the connection as cut.
    private func abort() {
        context?.triggerUserOutboundEvent(TLSCommand.abort, promise: nil)
        context?.close(promise: nil)
    }

    /// Whatever a client sends after its request means nothing.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? TLSEvent == .peerClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

@available(*, unavailable)
extension FileBodyHandler: Sendable {}
