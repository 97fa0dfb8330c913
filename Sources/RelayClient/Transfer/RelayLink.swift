// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// How to get a control connection, again and again.
struct RelayLink: Sendable {
    let relay: RelayURL
    let dialer: Dialer
    let identity: Identity
    let reporter: Reporter
    let interruption: Interruption
    /// Where the control connection is, and all that is done for small contents but files and what a person sees: their
    /// cost is that of threads that wake each other.
    let home: EventLoopExecutor

    /// Where timers run.
    var timers: any EventLoop { dialer.group.any() }

    /// Connects and logs in, once.
    ///
    /// - Throws: ``ConnectionError``, or `CancellationError`.
    func connect() async throws -> ControlConnection {
        try await interruption.bounded {
            let connection = try await ControlConnection.open(relay, dialer: dialer.on(home.loop), identity: identity)
            // Nobody waits for it any more: it must not stay logged in.
            guard !Task.isCancelled else {
                connection.abort()
                throw CancellationError()
            }
            return connection
        }
    }

    /// Waits, unless the person interrupts or the task is cancelled: `CancellationError`.
    func pause(_ amount: TimeAmount) async throws {
        try await interruption.bounded { [timers] in try await timers.scheduleTask(in: amount) {}.futureResult.get() }
    }

    /// Reads the connection's messages into `queue` until it ends.
    func pump<Event: Sendable>(
        _ connection: ControlConnection, into queue: EventQueue<Event>,
        message: @escaping @Sendable (ServerMessage) -> Event, end: @escaping @Sendable (ConnectionError) -> Event
    ) {
        Task(executorPreference: home) {
            do {
                for try await received in connection.messages {
                    guard queue.postForeign(message(received)) else { break }
                }
                queue.post(
                    end(ConnectionError(closed: nil, reason: .violation(.messageTooLong), relay: connection.relay)))
            } catch {
                let lost = ConnectionError(closed: nil, reason: .lost, relay: connection.relay)
                queue.post(end((error as? ConnectionError) ?? lost))
            }
            connection.abort()
        }
    }
}
