// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The control connection of a session: made when it is wanted, made again when it is lost, and left for another when it
/// takes nothing any more. Its owner passes on what happens to it.
struct SendLine {
    /// What can happen.
    enum Event: Sendable {
        case connected(any ControlLine)
        /// There is no connection.
        case notConnected(any Error)
        /// The number tells an earlier connection from this one.
        case message(UInt64, ServerMessage)
        case ended(UInt64, ConnectionError)
    }

    private enum State {
        case none
        case connecting(Task<Void, Never>)
        case open(any ControlLine)
        /// It takes nothing more, and is closed once nothing is under way on it.
        case leaving(any ControlLine, pause: TimeAmount)
    }

    /// The number of the connection that stands, or stood last.
    private(set) var number: UInt64 = 0
    private var state = State.none
    private let network: any SendNetwork
    /// Adds an event for the owner; false when too many wait.
    private let post: @Sendable (Event) -> Bool
    /// When to look for the relay again.
    private var attempts = AttemptMachine(patience: nil, now: .now())
    private var generator = SystemRandomNumberGenerator()
    /// Whether the relay has answered once: only what had worked is looked for again.
    private var hasWorked = false
    /// Whether the relay does what it is asked on this connection.
    private var isProved = false
    /// Whether the person was told that the relay is away, and not yet that it is back.
    private var isAway = false
    /// Whether the person was told that the relay is slow.
    private var isSlow = false

    init(_ network: any SendNetwork, post: @escaping @Sendable (Event) -> Bool) {
        self.network = network
        self.post = post
    }

    /// The connection, while it takes offers.
    var open: (any ControlLine)? { if case .open(let line) = state { line } else { nil } }

    /// Whether the connection is to be closed once nothing is under way on it.
    var isLeaving: Bool { if case .leaving = state { true } else { false } }

    /// Whether it would be news that the relay is slow to answer.
    var mayBeSlow: Bool { open != nil && !isSlow }

    /// Connects, if nothing is done about it yet.
    mutating func want() { if case .none = state { connect(after: nil) } }

    /// A connection stands.
    mutating func connected(_ line: any ControlLine) {
        state = .open(line)
        hasWorked = true
        (isProved, isSlow) = (false, false)
        number += 1
        let (number, relay, post) = (number, network.relay, post)
        Task(executorPreference: network.executor) {
            var lost = ConnectionError(closed: nil, reason: .violation(.messageTooLong), relay: relay)
            do {
                for try await message in line.messages { guard post(.message(number, message)) else { break } }
            } catch {
                lost = (error as? ConnectionError) ?? ConnectionError(closed: nil, reason: .lost, relay: relay)
            }
            _ = post(.ended(number, lost))
            line.abort()
        }
    }

    /// There is no connection, or none any more: connects again after a pause.
    ///
    /// - Returns: false when there is no use in that.
    mutating func lost(_ error: ConnectionError, now: NIODeadline) -> Bool {
        state = .none
        let prospect = Prospect(error, hasWorked: hasWorked)
        // A relay that says that it cannot now is there, also when it is gone for a moment after that.
        if prospect.isPassing { hasWorked = true }
        guard let pause = pause(prospect, error.summary, now: now) else {
            attempts = AttemptMachine(patience: nil, now: now)
            return false
        }
        connect(after: pause)
        return true
    }

    /// Another connection is wanted, as this one takes nothing, or is not heard.
    mutating func leave(_ prospect: Prospect, _ reason: String, now: NIODeadline) {
        guard let open, let pause = pause(prospect, reason, now: now) else { return }
        state = .leaving(open, pause: pause)
    }

    /// Closes the connection that is being left, and makes another one.
    mutating func change() {
        guard case .leaving(let line, let pause) = state else { return }
        Task { await line.close() }
        connect(after: pause)
    }

    /// The relay does what it was asked.
    mutating func proved(now: NIODeadline) {
        guard !isProved else { return }
        isProved = true
        attempts.connected(now: now)
        if isAway { network.reporter.report(.reconnected) }
        isAway = false
    }

    /// The relay has not answered for a while.
    mutating func isSlowToAnswer() {
        guard mayBeSlow else { return }
        isSlow = true
        network.reporter.report(
            .notice("\(network.relay) is slow to answer: it holds back what comes too fast, or the network is slow")
        )
    }

    /// The relay was waited for in vain: while it is away, that is not done a second time.
    mutating func waitedInVain() { if open == nil { hasWorked = false } }

    /// Says goodbye to the relay.
    func close() async {
        switch state {
        case .none: break
        case .connecting(let task): task.cancel()
        case .open(let line), .leaving(let line, pause: _): await line.close()
        }
    }

    private mutating func pause(_ prospect: Prospect, _ reason: String, now: NIODeadline) -> TimeAmount? {
        switch attempts.failed(prospect, now: now, using: &generator) {
        case .fail, .giveUp: return nil
        case .tryAgain(let pause, let attempt):
            isAway = true
            network.reporter.report(.reconnecting(reason: reason, attempt: attempt, pause: pause))
            return pause
        }
    }

    private mutating func connect(after pause: TimeAmount?) {
        let (network, post) = (network, post)
        state = .connecting(
            Task {
                do {
                    let line = try await network.line(after: pause)
                    // Nobody waits for it any more: it must not stay logged in.
                    if Task.isCancelled { line.abort() } else { _ = post(.connected(line)) }
                } catch {
                    _ = post(.notConnected(error))
                }
            }
        )
    }
}
