// SPDX-License-Identifier: Apache-2.0

/// From serving to the end: a drain first, then the stop.
struct DrainMachine: Hashable, Sendable {
    /// How far it is.
    enum State: Hashable, Sendable, CaseIterable {
        case serving, draining, stopping
        /// Another process has the listeners; what runs finishes in its own time.
        case handedOver
    }

    /// Why the server stops.
    enum Reason: String, Hashable, Sendable {
        /// Every running transfer has finished.
        case finished
        /// Some had not when the time was over.
        case deadline
        /// A signal came while the server was draining.
        case hurried
    }

    /// What has to be done.
    enum Action: Hashable, Sendable {
        case nothing
        /// Refuse what is new, start the clock, and wait for what runs.
        case beginDrain
        /// Let what runs finish, however long it takes within reason: clients come to another process.
        case leave
        /// Start the clock for what runs.
        case limitTime
        case stop(Reason)
    }

    private(set) var state = State.serving

    init(_ state: State = .serving) { self.state = state }

    /// SIGTERM or SIGINT. The second one does not wait.
    mutating func signalled() -> Action {
        switch state {
        case .serving:
            state = .draining
            return .beginDrain
        case .draining:
            state = .stopping
            return .stop(.hurried)
        case .handedOver:
            state = .draining
            return .limitTime
        case .stopping:
            return .nothing
        }
    }

    /// Another process serves in this one's place.
    mutating func handedOver() -> Action {
        guard state == .serving else { return .nothing }
        state = .handedOver
        return .leave
    }

    /// An operator's `drain`. Asking again changes nothing.
    mutating func drainRequested() -> Action {
        switch state {
        case .serving:
            state = .draining
            return .beginDrain
        case .draining, .handedOver, .stopping:
            return .nothing
        }
    }

    /// No accepted transfer is left.
    mutating func becameIdle() -> Action { ended(.finished) }

    /// The time for the drain is over.
    mutating func deadlinePassed() -> Action { ended(.deadline) }

    private mutating func ended(_ reason: Reason) -> Action {
        switch state {
        case .serving, .stopping:
            return .nothing
        case .draining, .handedOver:
            state = .stopping
            return .stop(reason)
        }
    }
}
