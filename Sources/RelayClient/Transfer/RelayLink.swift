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

    /// Where timers run.
    var timers: any EventLoop { dialer.group.any() }

    /// Connects and logs in, with pauses between the attempts as long as the failure may pass.
    ///
    /// - Parameters:
    ///   - deadline: when to give up; nil never does.
    ///   - isAgain: whether a connection was lost before, so that its return is news.
    /// - Throws: ``ConnectionError``, ``CommandError`` with status 75 at the deadline, or `CancellationError`.
    func connect(until deadline: NIODeadline?, isAgain: Bool = false) async throws -> ControlConnection {
        var backOff = BackOff()
        var generator = SystemRandomNumberGenerator()
        var isNews = isAgain
        while true {
            do {
                let connection = try await interruption.bounded {
                    try await ControlConnection.open(relay, dialer: dialer, identity: identity)
                }
                if isNews { reporter.report(.reconnected) }
                return connection
            } catch let error as ConnectionError where error.isTemporary {
                let pause = backOff.next(using: &generator)
                if let deadline, NIODeadline.now() + pause >= deadline {
                    throw CommandError("gave up: \(error)", status: .gaveUp)
                }
                reporter.report(.reconnecting(reason: error.summary, pause: pause))
                isNews = true
                try await self.pause(pause)
            }
        }
    }

    /// Waits, unless the person interrupts: `CancellationError`.
    func pause(_ amount: TimeAmount) async throws {
        try await interruption.bounded { [timers] in try await timers.scheduleTask(in: amount) {}.futureResult.get() }
    }

    /// Reads the connection's messages into `queue` until it ends.
    func pump<Event: Sendable>(
        _ connection: ControlConnection, into queue: EventQueue<Event>,
        message: @escaping @Sendable (ServerMessage) -> Event, end: @escaping @Sendable (ConnectionError) -> Event
    ) {
        Task {
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
