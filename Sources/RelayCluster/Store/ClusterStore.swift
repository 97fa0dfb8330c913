// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import RelayNode
import ServerSystem
import Synchronization
import TransferBroker

/// The cluster's Redis, as routing, users and tickets use it. For any thread.
final class ClusterStore: Sendable {
    /// What is called with each change of the connection, on the event loop.
    typealias Observer = @Sendable (_ isConnected: Bool) -> Void

    let settings: RedisSettings
    let client: RedisClient
    private let observers: Observers
    private let logger: Logger
    /// Messages on their way.
    private let publishing = Mutex(0)
    /// When a refusal of Redis was last logged.
    private let warned = Mutex<NIODeadline?>(nil)
    private let figures = Mutex(RedisFigures())
    /// When Redis last did not do what a script wanted.
    private let refused = Mutex<NIODeadline?>(nil)

    private final class Observers: Sendable {
        let list = Mutex<[Observer]>([])
        let isConnected = Mutex(false)
        /// The process at the other end of the last connection, and who is told when it is another one.
        let process = Mutex("")
        let replaced = Mutex<[@Sendable () -> Void]>([])

        /// Before anything is asked of the new one.
        func connected(to process: String) {
            let isOther = self.process.withLock { last in
                defer { last = process }
                return last != "" && last != process
            }
            if isOther { for observer in replaced.withLock({ $0 }) { observer() } }
            changed(true)
        }

        func changed(_ isConnected: Bool) {
            self.isConnected.withLock { $0 = isConnected }
            for observer in list.withLock({ $0 }) { observer(isConnected) }
        }
    }

    /// - Parameter eventLoop: where the connection, its observers and the replies are.
    init(settings: RedisSettings, eventLoop: any EventLoop, logger: Logger) {
        let observers = Observers()
        self.observers = observers
        var settings = settings
        settings.key = ClusterKeys.epoch
        self.settings = settings
        self.logger = logger
        client = RedisClient(settings: settings, eventLoop: eventLoop, log: logger) { state in
            switch state {
            case .connected(_, let version): observers.connected(to: version.process)
            case .disconnected: observers.changed(false)
            }
        }
    }

    var eventLoop: any EventLoop { client.eventLoop }

    /// Whether there is a connection now.
    var isConnected: Bool { observers.isConnected.withLock { $0 } }

    /// Adds an observer; it is not told what is the case already.
    func observe(_ observer: @escaping Observer) { observers.list.withLock { $0.append(observer) } }

    /// Adds an observer that is told when another process answers than before: a replica that has become the master, or
    /// a Redis that was started again. What was written last may not be there.
    func observeReplacement(_ observer: @escaping @Sendable () -> Void) {
        observers.replaced.withLock { $0.append(observer) }
    }

    /// Runs a script, within 2 s.
    /// - Returns: the reply; fails with ``ClusterUnavailable`` when Redis does not say.
    func run(_ script: RedisScript, keys: [String], arguments: [String] = []) -> EventLoopFuture<RESPValue> {
        let start = NIODeadline.now()
        return client.run(
            script, keys: keys.map { ByteBuffer(string: $0) }, arguments: arguments.map { ByteBuffer(string: $0) },
            timeout: Defaults.Routing.deadline
        ).always { self.count($0, since: start) }.flatMapErrorThrowing { error in
            let failure = self.failure(error)
            // What a user of Redis may not do stays so, and says nothing about what others have written.
            if (error as? RedisError)?.code == .replied, failure.cause == nil {
                self.refused.withLock { $0 = .now() }
            }
            throw failure
        }
    }

    /// Whether Redis has refused something so short a time ago that other nodes may not have written yet what it did
    /// not take from them: what is not there says nothing then.
    func hasRefusedLately(now: NIODeadline) -> Bool {
        refused.withLock { $0.map { now < $0 + Defaults.Routing.settling } ?? false }
    }

    /// Publishes `text` on `channel`; whether any node heard it is not known. Nothing happens while `limit` messages
    /// are on their way: they must not take the room of the commands that matter.
    func publish(_ text: String, on channel: String, limit: Int) {
        let isSent = publishing.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
        guard isSent else { return }
        let start = NIODeadline.now()
        client.publish(text, on: channel).whenComplete { result in
            self.publishing.withLock { $0 -= 1 }
            self.count(result, since: start)
            if case .failure(let error) = result { _ = self.failure(error) }
        }
    }

    /// How Redis has answered so far.
    var redis: RedisFigures {
        var figures = figures.withLock { $0 }
        let ofClient = client.figures
        (figures.connections, figures.redirections) = (ofClient.connections, ofClient.redirections)
        return figures
    }

    private func count(_ result: Result<RESPValue, any Error>, since start: NIODeadline) {
        let time = NIODeadline.now() - start
        figures.withLock { figures in
            switch result {
            case .success: figures.replies.record(time)
            case .failure(let error as RedisError) where error.code == .replied:
                figures.replies.record(time)
                figures.refused &+= 1
            // Before the first connection there was nothing that could have been answered.
            case .failure where client.figures.connections == 0: break
            case .failure: figures.unanswered &+= 1
            }
        }
    }

    private func failure(_ error: any Error) -> ClusterUnavailable {
        guard let error = error as? RedisError, error.code == .replied else {
            return ClusterUnavailable(reason: "\(error)")
        }
        warn(error)
        let cause: ClusterUnavailable.Cause? =
            if error.isForbidden { .forbidden } else if error.isReply("WRONGTYPE") { .wrongType } else { nil }
        return ClusterUnavailable(reason: "\(error)", cause: cause)
    }

    /// The connection stands, and yet Redis does not do what it is asked: no other log entry would say so.
    private func warn(_ error: RedisError) {
        let now = NIODeadline.now()
        let isDue = warned.withLock { last in
            if let last, now < last + Defaults.Routing.warningInterval { return false }
            last = now
            return true
        }
        guard isDue else { return }
        logger.error("redis refuses what this node asks of it", metadata: [LogKeys.error: "\(error)"])
    }
}

extension TimeAmount {
    /// In whole milliseconds, as Redis wants a life.
    var milliseconds: String { String(nanoseconds / 1_000_000) }
}
