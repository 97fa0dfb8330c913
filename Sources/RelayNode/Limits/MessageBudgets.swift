// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import Pacing
import Synchronization
import TransferBroker
import WSProtocol

/// How much each user, and each address, may still say now: one budget for all their connections to this node, which a
/// new connection does not refill. For any thread.
///
/// A message over the budget is not refused. It waits, with everything behind it, until the budget allows it.
package final class MessageBudgets: Sendable {
    /// A wait, and whose budget was used up.
    struct Wait: Hashable, Sendable {
        var time: TimeAmount
        var scope: Limit.Scope
    }

    private struct State {
        var users: PaceTable<PeerName>
        var addresses: PaceTable<String>
    }

    private let state: Mutex<State>
    private let control: LimitControl?

    /// - Parameters:
    ///   - address: where `control` does not say.
    ///   - control: says what other limits there are.
    package init(
        user: Pace.Limits = Defaults.Messages.user, address: Pace.Limits? = AddressLimit.standard.messages(),
        control: LimitControl? = nil
    ) {
        self.control = control
        func table<Key>(_ limits: Pace.Limits) -> PaceTable<Key> {
            PaceTable(limits: limits, longest: Defaults.Messages.longestWait, capacity: Defaults.Messages.busyAtOnce)
        }
        state = Mutex(State(users: table(user), addresses: table(address ?? user)))
    }

    /// Takes `units` from the budgets of `user` and of `address`, as far as there are such.
    ///
    /// - Returns: how long what costs them has to wait; nil when it need not.
    func reserve(_ units: Int64, user: PeerName?, address: String?, now: NIODeadline) -> Wait? {
        let ofUser = user.flatMap { control?.messages(of: $0) }
        let ofAddress = address == nil ? nil : control?.messagesOfAddress
        let (byUser, byAddress) = state.withLock { state in
            (
                user.map { state.users.reserve(units, for: $0, within: ofUser, now: now) } ?? .zero,
                address.map { state.addresses.reserve(units, for: $0, within: ofAddress, now: now) } ?? .zero
            )
        }
        guard max(byUser, byAddress) > .zero else { return nil }
        return byUser >= byAddress ? Wait(time: byUser, scope: .user) : Wait(time: byAddress, scope: .address)
    }
}

/// What messages cost, in the units of the budgets: one is the work that a short message makes.
enum MessageCost {
    /// Paid before a text is looked at: reading JSON takes time in proportion to it.
    static func ofReading(_ bytes: Int) -> Int64 { 1 + Int64(bytes / Defaults.Messages.bytesPerUnit) }

    /// Paid on top of it, once it is known what the text says; the next message waits for it.
    static func ofDoing(_ message: Result<ClientMessage, MessageCodec.Malformed>) -> Int64 {
        switch message {
        case .success(let message):
            switch message {
            case .login, .register: Defaults.Messages.loginUnits
            // The registry is asked, in a cluster Redis as well.
            case .lookup, .offer, .accept: 1
            case .note(let note): ofPassing(note.payload)
            case .request(let request): 1 + ofPassing(request.payload)
            case .presence, .decline, .progress, .delivered, .cancel, .withdraw, .refuse, .ping: 0
            }
        // It was read twice.
        case .failure: 1
        }
    }

    /// What others have to read.
    private static func ofPassing(_ payload: Payload) -> Int64 {
        Int64(payload.rawValue.utf8.count / Defaults.Messages.noteBytesPerUnit)
    }
}
