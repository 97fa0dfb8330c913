// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import ServerSystem

/// Lets in only what a later handler has asked for: the first handler of a sender's connection.
///
/// NIO reads the connection of a peer that has finished to its end at once, asked or not. All that the kernel holds
/// would then wait in this process for a receiver that is slow. This handler makes NIO stop there, and reads the rest
/// itself, as it is asked for. That needs no notifications: behind a peer's end there is nothing more to come.
final class HalfCloseReadGate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// NIO reads; `isAsked` until something comes.
        case open(isAsked: Bool)
        /// The peer has finished, and this handler reads. `unasked` came before NIO stopped.
        case finished(unasked: ByteBuffer?, isReading: Bool)
        case closed
    }

    /// poll(2): the peer has shut its direction down. Glibc shows it only to programs that ask for GNU's additions.
    private static let pollPeerFinished: Int16 = 0x2000

    // A read may be on its way already.
    private var state = State.open(isAsked: true)

    func handlerAdded(context: ChannelHandlerContext) {
        // Lets the direction towards us be closed alone.
        try? context.channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
    }

    func handlerRemoved(context: ChannelHandlerContext) { state = .closed }

    func read(context: ChannelHandlerContext) {
        switch state {
        case .open:
            state = .open(isAsked: true)
            context.read()
        case .finished(let unasked, isReading: false):
            state = .finished(unasked: unasked, isReading: true)
            // Later: the handler that asks may be in the middle of writing what was read before.
            context.eventLoop.assumeIsolated().execute { self.readOn(context) }
        case .finished, .closed: break
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .open(isAsked: false) where Self.hasFinished(context.channel):
            // A copy, as the buffer may be one that all connections use in turn.
            let unasked = context.channel.allocator.buffer(buffer: Self.unwrapInboundIn(data))
            state = .finished(unasked: unasked, isReading: false)
            let stopped = context.eventLoop.makePromise(of: Void.self)
            context.close(mode: .input, promise: stopped)
            // After a reset there is no such direction any more.
            stopped.futureResult.assumeIsolated().whenFailure { _ in context.close(promise: nil) }
        case .open:
            state = .open(isAsked: false)
            context.fireChannelRead(data)
        // NIO did not stop.
        case .finished: context.close(promise: nil)
        case .closed: break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .finished = state { return }
        context.fireChannelReadComplete()
    }

    /// A peer that has finished is disconnected once all it said was read, as without this handler.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        if case .open = state { context.close(promise: nil) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .closed
        context.fireChannelInactive()
    }

    /// Reads what the peer said before it finished.
    private func readOn(_ context: ChannelHandlerContext) {
        guard case .finished(let unasked, _) = state else { return }
        state = .finished(unasked: nil, isReading: false)
        guard let bytes = unasked ?? Self.receive(context.channel) else { return context.close(promise: nil) }
        context.fireChannelRead(Self.wrapInboundOut(bytes))
        context.fireChannelReadComplete()
        if (try? context.channel.syncOptions?.getOption(.autoRead)) ?? true { context.channel.read() }
    }

    /// What the kernel has of the peer's; nil when there is nothing left.
    private static func receive(_ channel: any Channel) -> ByteBuffer? {
        var buffer = channel.allocator.buffer(capacity: SystemDefaults.receiveBytes)
        _ = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            socket in
            unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { space in
                max(0, unsafe recv(socket, space.baseAddress, space.count, 0))
            }
        }
        return buffer.readableBytes > 0 ? buffer : nil
    }

    /// Whether the peer has said that no more will come, or the connection is broken.
    private static func hasFinished(_ channel: any Channel) -> Bool {
        let answer = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            socket in
            var question = pollfd(fd: socket, events: pollPeerFinished, revents: 0)
            return unsafe poll(&question, 1, 0) > 0
        }
        return (answer ?? nil) ?? false
    }
}

@available(*, unavailable)
extension HalfCloseReadGate: Sendable {}
