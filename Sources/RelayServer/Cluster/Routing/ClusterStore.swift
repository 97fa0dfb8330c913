// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import Synchronization

/// The cluster's Redis, as routing, users and tickets use it. For any thread.
final class ClusterStore: Sendable {
    /// What is called with each change of the connection, on the event loop.
    typealias Observer = @Sendable (_ isConnected: Bool) -> Void

    let settings: RedisSettings
    let client: RedisClient
    private let observers: Observers

    private final class Observers: Sendable {
        let list = Mutex<[Observer]>([])
        let isConnected = Mutex(false)

        func changed(_ isConnected: Bool) {
            self.isConnected.withLock { $0 = isConnected }
            for observer in list.withLock({ $0 }) { observer(isConnected) }
        }
    }

    /// - Parameter eventLoop: where the connection, its observers and the replies are.
    init(settings: RedisSettings, eventLoop: any EventLoop, logger: Logger) {
        let observers = Observers()
        self.observers = observers
        self.settings = settings
        client = RedisClient(settings: settings, eventLoop: eventLoop, log: logger) { state in
            switch state {
            case .connected: observers.changed(true)
            case .disconnected: observers.changed(false)
            }
        }
    }

    var eventLoop: any EventLoop { client.eventLoop }

    /// Whether there is a connection now.
    var isConnected: Bool { observers.isConnected.withLock { $0 } }

    /// Adds an observer; it is not told what is the case already.
    func observe(_ observer: @escaping Observer) { observers.list.withLock { $0.append(observer) } }

    /// Runs a script, within 2 s.
    /// - Returns: the reply; fails with ``ClusterUnavailable`` when Redis does not say.
    func run(_ script: RedisScript, keys: [String], arguments: [String] = []) -> EventLoopFuture<RESPValue> {
        client.run(
            script, keys: keys.map { ByteBuffer(string: $0) }, arguments: arguments.map { ByteBuffer(string: $0) },
            timeout: Defaults.Routing.deadline
        ).flatMapErrorThrowing { throw ClusterUnavailable(reason: "\($0)") }
    }

    /// Publishes `text` on `channel`; whether anybody heard it is not known.
    func publish(_ text: String, on channel: String) { _ = client.send(RedisCommand("PUBLISH", channel, text)) }
}

extension TimeAmount {
    /// In whole milliseconds, as Redis wants a life.
    var milliseconds: String { String(nanoseconds / 1_000_000) }
}
