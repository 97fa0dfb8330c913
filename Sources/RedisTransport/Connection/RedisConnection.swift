// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import NIOCore

/// Runs a `RedisConnectionMachine`: dials, and dials again. Belongs to one event loop.
final class RedisConnection {
    /// What the owner is told.
    enum Change {
        /// The connection of this number stands.
        case connected(generation: Int, RedisVersion)
        /// It does not stand any more, or an attempt failed.
        case disconnected(any Error)
    }

    private let settings: RedisSettings
    private let eventLoop: any EventLoop
    private let finder: RedisFinder
    private let log: Logger
    /// Makes the handler of a new connection.
    private let makeHandler: () -> any ChannelHandler
    private let changed: (Change) -> Void

    private var machine: RedisConnectionMachine
    private var generator = SystemRandomNumberGenerator()
    private var channel: (any Channel)?
    /// The server of the connection that stands.
    private(set) var server: RedisEndpoint?
    /// Why the owner had the connection cut.
    private var reason: RedisError?
    private var timer: Scheduled<Void>?
    /// Whether the log says that it fails, and not yet that it works.
    private var isReported = true
    private var lastWarning: NIODeadline?
    /// The attempt that is being made.
    private var attempt: EventLoopPromise<Void>?
    /// Keeps what ended the connection.
    private var last = LastHandler()

    init(
        settings: RedisSettings, eventLoop: any EventLoop, log: Logger,
        makeHandler: @escaping () -> any ChannelHandler, changed: @escaping (Change) -> Void
    ) {
        self.settings = settings
        self.eventLoop = eventLoop
        self.log = log
        self.makeHandler = makeHandler
        self.changed = changed
        finder = RedisFinder(settings: settings, eventLoop: eventLoop)
        machine = RedisConnectionMachine(backOff: settings.backOff, stableAfter: settings.stableAfter)
    }

    /// Connects, and stays connected until ``stop(_:)``.
    func start() { run(machine.started()) }

    /// Cuts the connection that stands; it is made anew.
    func drop(_ error: RedisError) {
        reason = reason ?? error
        if let channel { ConnectionEnd.cut(channel) }
    }

    /// Ends it all.
    ///
    /// - Parameter promise: succeeds once no connection is left, and no attempt to make one.
    func stop(_ promise: EventLoopPromise<Void>) {
        reason = RedisError(.stopped)
        run(machine.stopped())
        if let channel {
            channel.closeFuture.cascade(to: promise)
        } else if let attempt {
            attempt.futureResult.cascade(to: promise)
        } else {
            promise.succeed()
        }
    }

    /// Asks the Sentinels, if there are any, and cuts the connection if the master is another one by now.
    func checkMaster() {
        guard let server else { return }
        finder.ask { [weak self] master in
            guard let self, self.server == server, master != server else { return }
            self.drop(RedisError(.unavailable, "the Sentinels say that the master is \(master) now"))
        }
    }

    private func run(_ action: RedisConnectionMachine.Action) {
        switch action {
        case .none, .announce: break
        case .connect: connect()
        case .wait(let pause), .lost(let pause): wait(pause)
        case .close: if let channel { ConnectionEnd.cut(channel) }
        case .cancelTimer: timer?.cancel()
        }
    }

    private func wait(_ pause: TimeAmount) {
        timer = eventLoop.assumeIsolated().scheduleTask(in: pause) { self.run(self.machine.timerFired()) }
    }

    private func connect() {
        let attempt = eventLoop.makePromise(of: Void.self)
        (reason, self.attempt) = (nil, attempt)
        finder.find({ [self.makeHandler()] }, done: { self.finished(attempt, $0) })
    }

    private func finished(_ attempt: EventLoopPromise<Void>, _ result: Result<RedisFinder.Found, any Error>) {
        self.attempt = nil
        switch result {
        case .success(let found):
            last = found.last
            succeeded(found.connection)
            // Not before the end, if it was stopped meanwhile.
            if reason == RedisError(.stopped) {
                found.connection.channel.closeFuture.cascade(to: attempt)
            } else {
                attempt.succeed()
            }
        case .failure(let error):
            failed(error)
            attempt.succeed()
        }
    }

    private func succeeded(_ connection: RedisDialer.Connection) {
        let action = machine.connectSucceeded(now: .now())
        (channel, server) = (connection.channel, connection.server)
        connection.channel.closeFuture.assumeIsolated().whenComplete { _ in self.ended() }
        guard case .announce(let generation) = action else { return run(action) }
        let metadata: Logger.Metadata = [
            LogKeys.redis: "\(connection.server)", LogKeys.version: "\(connection.version)",
        ]
        if isReported { log.notice("redis is reachable", metadata: metadata) }
        isReported = false
        // It may have ended in the same turn of the loop; then it is not worth a word.
        if connection.channel.isActive { changed(.connected(generation: generation, connection.version)) }
    }

    private func failed(_ error: any Error) {
        report(error)
        run(machine.connectFailed(using: &generator))
        changed(.disconnected(error))
    }

    private func ended() {
        let error = reason ?? last.error ?? RedisError(.disconnected)
        if let server { finder.lost(error, by: server) }
        (channel, server) = (nil, nil)
        let action = machine.connectionEnded(now: .now(), using: &generator)
        if reason != RedisError(.stopped) { report(error) }
        run(action)
        changed(.disconnected(error))
    }

    /// Once for each outage, and not for each of many short ones; what is left out is told at debug.
    private func report(_ error: any Error) {
        let metadata: Logger.Metadata = [LogKeys.redis: "\(settings.url.address)", LogKeys.error: "\(error)"]
        let now = NIODeadline.now()
        let isRecent = lastWarning.map { now - $0 < RedisDefaults.warningInterval } ?? false
        guard lastWarning == nil || !isReported && !isRecent else {
            return log.debug("redis is not reachable", metadata: metadata)
        }
        lastWarning = now
        isReported = true
        log.warning("redis is not reachable; trying again", metadata: metadata)
    }
}

@available(*, unavailable)
extension RedisConnection: Sendable {}

/// Whether there is a connection, as the owner of a client or of a subscription is told.
package enum RedisConnectionState: Sendable {
    /// It stands: commands can be sent, or all channels are subscribed. Each has a number higher than the one before.
    case connected(generation: Int, version: RedisVersion)
    /// It ended, or an attempt failed: a `RedisError` or a `RedisRefusal`. It is being tried again.
    case disconnected(any Error)
}

/// The keys of this module's log metadata. None is ever given a password, a command's arguments or a message.
enum LogKeys {
    /// What went wrong.
    static let error = "error"
    /// Host and port of the Redis.
    static let redis = "redis"
    /// Product and version of the server there.
    static let version = "version"
}
