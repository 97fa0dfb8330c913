// SPDX-License-Identifier: Apache-2.0

package import Logging
package import NIOCore
import Synchronization

/// One connection to Redis for commands, made anew whenever it ends. For any thread.
///
/// Commands are not kept for later: without a connection they fail at once with `unavailable`. A command whose reply
/// does not come in time fails, and the connection with it, so that a frozen Redis looks as dead as it is and a late
/// reply is never taken for another's. After `disconnected` and `deadlineExceeded` a command may or may not have been
/// run: callers repeat only what may be run twice.
package final class RedisClient: Sendable {
    /// Where the client, its callback and its futures live.
    package let eventLoop: any EventLoop
    private let settings: RedisSettings
    private let log: Logger
    private let changed: @Sendable (RedisConnectionState) -> Void
    private let core: NIOLoopBoundBox<ClientCore?>
    private let counted = ClientCounts()

    /// Makes a client; ``start()`` connects it.
    ///
    /// - Parameter changed: called on the event loop with each change.
    package init(
        settings: RedisSettings, eventLoop: any EventLoop, log: Logger,
        changed: @escaping @Sendable (RedisConnectionState) -> Void
    ) {
        self.settings = settings
        self.eventLoop = eventLoop
        self.log = log
        self.changed = changed
        core = .makeEmptyBox(valueType: ClientCore.self, eventLoop: eventLoop)
    }

    /// Connects, and goes on trying until ``stop()``, which has to be called.
    package func start() {
        eventLoop.execute { [self] in
            guard core.value == nil else { return }
            core.value = ClientCore(
                settings: settings, eventLoop: eventLoop, log: log, counted: counted, changed: changed)
        }
    }

    /// Ends the connection for good; commands that wait fail.
    package func stop() -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute { [self] in
            guard let core = core.value else { return promise.succeed() }
            core.stop(promise)
        }
        return promise.futureResult
    }

    /// Sends a command.
    ///
    /// - Parameter timeout: how long the reply may take, from now.
    /// - Returns: the reply; or fails with a `RedisError`, which is `replied` for an error that Redis replied with.
    package func send(
        _ command: RedisCommand, timeout: TimeAmount = RedisDefaults.commandTimeout
    ) -> EventLoopFuture<RESPValue> {
        send(command, deadline: .now() + timeout)
    }

    /// Runs a script: by its name, or as a whole if Redis does not have it.
    ///
    /// - Parameter timeout: how long both attempts together may take.
    package func run(
        _ script: RedisScript, keys: [ByteBuffer], arguments: [ByteBuffer] = [],
        timeout: TimeAmount = RedisDefaults.commandTimeout
    ) -> EventLoopFuture<RESPValue> {
        let deadline = NIODeadline.now() + timeout
        return send(script.byDigest(keys: keys, arguments: arguments), deadline: deadline).flatMapError { error in
            guard let error = error as? RedisError, error.isReply("NOSCRIPT") else {
                return self.eventLoop.makeFailedFuture(error)
            }
            return self.send(script.bySource(keys: keys, arguments: arguments), deadline: deadline)
        }
    }

    /// Publishes a message on a channel: in a Redis Cluster on one that only the server hears that has its slot.
    package func publish(_ text: String, on channel: String) -> EventLoopFuture<RESPValue> {
        eventLoop.flatSubmit { [self] in
            let isCluster = core.value?.version?.mode == .cluster
            return send(RedisCommand(isCluster ? "SPUBLISH" : "PUBLISH", channel, text))
        }
    }

    /// What was counted about the connection since the start.
    package var figures: RedisClientFigures { counted.value.withLock { $0 } }

    /// The server that commands go to; nil without a connection. On the event loop only.
    var server: RedisEndpoint? { core.value?.server }

    private func send(_ command: RedisCommand, deadline: NIODeadline) -> EventLoopFuture<RESPValue> {
        let promise = eventLoop.makePromise(of: RESPValue.self)
        if eventLoop.inEventLoop {
            send(command, deadline, promise)
        } else {
            eventLoop.execute { self.send(command, deadline, promise) }
        }
        return promise.futureResult
    }

    private func send(_ command: RedisCommand, _ deadline: NIODeadline, _ promise: EventLoopPromise<RESPValue>) {
        guard let core = core.value else { return promise.fail(RedisError(.unavailable)) }
        core.send(command, deadline: deadline, promise: promise)
    }
}

/// What is counted on a client's event loop, and read from everywhere.
final class ClientCounts: Sendable {
    let value = Mutex(RedisClientFigures())
}

/// The part of a client that lives on its event loop.
final class ClientCore {
    private var connection: RedisConnection?
    /// The handler of the connection that stands, or is about to.
    private var handler: PipelineHandler?
    private var isConnected = false
    private let eventLoop: any EventLoop
    private let settings: RedisSettings
    private var timer: Scheduled<Void>?
    private let counted: ClientCounts
    /// Commands that wait to be sent again.
    private var waiting = 0
    /// Which server is at the other end; nil without a connection.
    private(set) var version: RedisVersion?

    init(
        settings: RedisSettings, eventLoop: any EventLoop, log: Logger, counted: ClientCounts,
        changed: @escaping @Sendable (RedisConnectionState) -> Void
    ) {
        (self.settings, self.eventLoop, self.counted) = (settings, eventLoop, counted)
        connection = RedisConnection(
            settings: settings, eventLoop: eventLoop, log: log,
            makeHandler: { [weak self] in
                let handler = PipelineHandler()
                self?.handler = handler
                return handler
            },
            changed: { [weak self] change in
                switch change {
                case .connected(let generation, let version):
                    self?.connected(version)
                    changed(.connected(generation: generation, version: version))
                case .disconnected(let error):
                    self?.disconnected()
                    changed(.disconnected(error))
                }
            })
        connection?.start()
    }

    /// The server that commands go to; nil without a connection.
    var server: RedisEndpoint? { isConnected ? connection?.server : nil }

    private func connected(_ version: RedisVersion) {
        isConnected = true
        self.version = version
        counted.value.withLock { $0.connections &+= 1 }
        checkLater()
    }

    private func disconnected() {
        isConnected = false
        version = nil
        timer?.cancel()
    }

    private func checkLater() {
        timer?.cancel()
        guard settings.url.master != nil else { return }
        timer = eventLoop.assumeIsolated().scheduleTask(in: settings.sentinelInterval) {
            self.connection?.checkMaster()
            self.checkLater()
        }
    }

    /// Sends a command; one that a cluster did not run, because its slot is on the way to another server, again.
    func send(_ command: RedisCommand, deadline: NIODeadline, promise: EventLoopPromise<RESPValue>) {
        send(command, deadline: deadline, refused: nil, promise)
    }

    /// - Parameter refused: what was said when it was sent before.
    private func send(
        _ command: RedisCommand, deadline: NIODeadline, refused: RedisError?, _ promise: EventLoopPromise<RESPValue>
    ) {
        guard isConnected, let handler else {
            guard let refused else { return promise.fail(RedisError(.unavailable)) }
            return sendLater(command, deadline, refused, promise)
        }
        let attempt = eventLoop.makePromise(of: RESPValue.self)
        handler.send(command, deadline: deadline, promise: attempt)
        attempt.futureResult.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let reply): promise.succeed(reply)
            case .failure(let error as RedisError) where error.isElsewhere:
                self.sendLater(command, deadline, error, promise)
            case .failure(let error): promise.fail(error)
            }
        }
    }

    private func sendLater(
        _ command: RedisCommand, _ deadline: NIODeadline, _ refused: RedisError, _ promise: EventLoopPromise<RESPValue>
    ) {
        let time = NIODeadline.now() + RedisDefaults.redirectPause
        guard time < deadline, connection != nil, waiting < RedisDefaults.commandsInFlight else {
            return promise.fail(refused)
        }
        waiting += 1
        counted.value.withLock { $0.redirections &+= 1 }
        _ = eventLoop.assumeIsolated().scheduleTask(deadline: time) {
            self.waiting -= 1
            self.send(command, deadline: deadline, refused: refused, promise)
        }
    }

    func stop(_ promise: EventLoopPromise<Void>) {
        disconnected()
        guard let connection else { return promise.succeed() }
        connection.stop(promise)
        self.connection = nil
    }
}

@available(*, unavailable)
extension ClientCore: Sendable {}

/// What is counted about the connection of a client of Redis, since its start.
package struct RedisClientFigures: Hashable, Sendable {
    /// Connections that were made: more than one say that Redis, its master or its slot was elsewhere for a time.
    package var connections: UInt64 = 0
    /// How often a command was sent again because its slot was on the way to another server.
    package var redirections: UInt64 = 0
}
