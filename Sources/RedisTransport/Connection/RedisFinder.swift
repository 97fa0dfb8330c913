// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Runs a `TopologyMachine`: finds the server, and connects to it. Belongs to one event loop, makes one attempt at a
/// time, and remembers between attempts what it has learnt.
final class RedisFinder {
    /// The connection that was found.
    struct Found {
        let connection: RedisDialer.Connection
        /// The end of its pipeline.
        let last: LastHandler
    }

    private let settings: RedisSettings
    private let eventLoop: any EventLoop
    private var topology: TopologyMachine
    /// One for each server: each looks up one name at a time, and one that has no answer must not hold up the others.
    private var names: [RedisEndpoint: NameResolver] = [:]

    private var makeHandlers: () -> [any ChannelHandler] = { [] }
    private var done: ((Result<Found, any Error>) -> Void)?
    private var timer: Scheduled<Void>?
    /// Tells the answers of one attempt from those of another.
    private var attempt = 0

    init(settings: RedisSettings, eventLoop: any EventLoop) {
        self.settings = settings
        self.eventLoop = eventLoop
        topology = TopologyMachine(settings.url)
    }

    /// Finds the server and connects.
    ///
    /// - Parameters:
    ///   - makeHandlers: makes what comes behind the login, for each server that is tried.
    ///   - done: gets the connection; or a `RedisRefusal` or a `RedisError`.
    func find(
        _ makeHandlers: @escaping () -> [any ChannelHandler], done: @escaping (Result<Found, any Error>) -> Void
    ) {
        self.makeHandlers = makeHandlers
        self.done = done
        attempt += 1
        run(topology.begin())
    }

    /// The connection has ended.
    ///
    /// - Parameters:
    ///   - error: why; it may say where the slot is now.
    ///   - server: the one that it was to.
    func lost(_ error: any Error, by server: RedisEndpoint) {
        guard let error = error as? RedisError, error.isReply("MOVED"), let detail = error.detail,
            let place = RedisEndpoint(moved: detail, by: server)
        else { return }
        topology.moved(to: place)
    }

    /// Asks the Sentinels where the master is by now.
    ///
    /// - Parameter done: gets what most of them say. Not called when they do not agree, or there are none.
    func ask(_ done: @escaping (RedisEndpoint) -> Void) {
        guard topology.hasSentinels else { return }
        var question = topology
        guard case .ask(let sentinels) = question.begin() else { return }
        for sentinel in sentinels {
            ask(sentinel) { answer in
                if case .dial(let server) = question.answered(by: sentinel, answer), question.agreed != nil {
                    done(server)
                }
            }
        }
    }

    private func run(_ action: TopologyMachine.Action) {
        switch action {
        case .none: break
        case .dial(let server):
            timer?.cancel()
            dial(server)
        case .ask(let sentinels): askAll(sentinels)
        case .fail(let error): finish(.failure(error))
        case .refuse(let refusal): finish(.failure(refusal))
        }
    }

    private func finish(_ result: Result<Found, any Error>) {
        timer?.cancel()
        let done = done
        (self.done, makeHandlers) = (nil, { [] })
        done?(result)
    }

    private func dial(_ server: RedisEndpoint) {
        let last = LastHandler()
        dialer(server).connect(to: server, makeHandlers(), last: last).whenComplete { result in
            switch result {
            case .success(let connection):
                self.topology.connected(
                    to: server, nodes: connection.nodes, isCluster: connection.version.mode == .cluster)
                self.finish(.success(Found(connection: connection, last: last)))
            case .failure(let redirect as RedisRedirect):
                self.run(self.topology.redirected(to: redirect.server, by: server))
            case .failure(let error):
                self.topology.failed(server)
                self.finish(.failure(error))
            }
        }
    }

    private func askAll(_ sentinels: [RedisEndpoint]) {
        let attempt = attempt
        timer = eventLoop.assumeIsolated().scheduleTask(in: settings.sentinelTimeout) {
            guard self.attempt == attempt else { return }
            self.run(self.topology.askingEnded())
        }
        for sentinel in sentinels {
            ask(sentinel) { answer in
                guard self.attempt == attempt else { return }
                self.run(self.topology.answered(by: sentinel, answer))
            }
        }
    }

    private func ask(_ sentinel: RedisEndpoint, _ answered: @escaping (SentinelAnswer) -> Void) {
        let machine = SentinelMachine(master: settings.url.master ?? "", login: settings.sentinelLogin)
        let handler = SentinelHandler(
            machine, isTLS: settings.tls != nil, timeout: settings.sentinelTimeout, answered: answered)
        dialer(sentinel).ask(sentinel, handler).whenComplete { result in
            // Before there was a pipeline, the handler knew nothing of it.
            if case .failure(let error) = result {
                answered(.failed(error as? RedisError ?? RedisError(.unreachable, "\(error)")))
            }
        }
    }

    private func dialer(_ server: RedisEndpoint) -> RedisDialer {
        let resolver = names[server] ?? NameResolver(eventLoop: eventLoop)
        // The names that other servers give are as many as they like.
        if names[server] == nil, names.count >= RedisDefaults.clusterNodes { names = [:] }
        names[server] = resolver
        return RedisDialer(settings: settings, eventLoop: eventLoop, names: resolver, isOneOfMany: topology.hasChoice)
    }
}

@available(*, unavailable)
extension RedisFinder: Sendable {}

/// Another server of the cluster has the slot.
struct RedisRedirect: Error, Hashable {
    /// The server that has the slot.
    let server: RedisEndpoint
}
