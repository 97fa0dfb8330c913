// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Sends commands on one connection and gives each its reply.
final class PipelineHandler: ChannelInboundHandler {
    typealias InboundIn = RESPValue
    typealias OutboundOut = RedisCommand

    private var machine = PipelineMachine()
    private var promises: [Int: EventLoopPromise<RESPValue>] = [:]
    private var lastID = 0
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    /// What said that the slot is at another server now.
    private var moved: RedisError?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        timer?.cancel()
        fail(machine.closed(), RedisError(.disconnected))
    }

    /// Sends a command. On the connection's event loop only.
    ///
    /// - Parameter promise: gets the reply; an error that Redis replies with is a failure, `replied`.
    func send(_ command: RedisCommand, deadline: NIODeadline, promise: EventLoopPromise<RESPValue>) {
        guard let context else { return promise.fail(RedisError(.unavailable)) }
        if let moved { return promise.fail(moved) }
        let length = command.length
        guard length <= RedisDefaults.commandLength, command.arguments.count <= RedisDefaults.commandArguments else {
            return promise.fail(RedisError(.tooLarge, "\(command.name) of \(length) bytes"))
        }
        let id = lastID &+ 1
        switch machine.sendRequested(id: id, length: length, deadline: deadline) {
        case .refuse(let code): return promise.fail(RedisError(code))
        case .send: break
        case .sendAndWake(let time): wake(at: time, context)
        }
        lastID = id
        promises[id] = promise
        context.writeAndFlush(Self.wrapOutboundOut(command)).assumeIsolated().whenFailure { _ in
            // A command that did not leave would put every reply that follows in the wrong place.
            ConnectionEnd.cut(context)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch machine.replyReceived() {
        case .none: break
        case .fail:
            context.fireErrorCaught(RedisError(.protocolViolation, "it replied to nothing"))
            ConnectionEnd.cut(context)
        case .deliver(let id): deliver(Self.unwrapInboundIn(data), to: id, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(machine.closed(), RedisError(.disconnected))
        context.fireChannelInactive()
    }

    private func deliver(_ reply: RESPValue, to id: Int, _ context: ChannelHandlerContext) {
        let promise = promises.removeValue(forKey: id)
        defer { leaveIfMoved(context) }
        guard case .error(let text) = reply else { return promise?.succeed(reply) ?? () }
        let error = RedisError(.replied, text)
        promise?.fail(error)
        if error.isReply("MOVED"), moved == nil { moved = error }
        // This Redis has become a replica, lost its primary, or was started again: its address may lead elsewhere now.
        guard ["READONLY", "LOADING", "MASTERDOWN", "NOAUTH"].contains(where: error.isReply) else { return }
        context.fireErrorCaught(error)
        ConnectionEnd.cut(context)
    }

    /// Not before the replies that are on their way are here: they say of each command that it was not run.
    private func leaveIfMoved(_ context: ChannelHandlerContext) {
        guard let moved, promises.isEmpty else { return }
        context.fireErrorCaught(moved)
        ConnectionEnd.cut(context)
    }

    private func wake(at time: NIODeadline, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: time) {
            switch self.machine.timeCame(max(.now(), time)) {
            case .none: break
            case .wake(let next): self.wake(at: next, context)
            case .fail(let late, let others):
                self.fail(late, RedisError(.deadlineExceeded))
                self.fail(others, RedisError(.disconnected, "another command's deadline passed"))
                context.fireErrorCaught(RedisError(.deadlineExceeded))
                ConnectionEnd.cut(context)
            }
        }
    }

    private func fail(_ ids: [Int], _ error: RedisError) {
        for id in ids { promises.removeValue(forKey: id)?.fail(error) }
    }
}

@available(*, unavailable)
extension PipelineHandler: Sendable {}
