// SPDX-License-Identifier: Apache-2.0

import Pacing
import Synchronization
package import TransferBroker
package import WSProtocol

/// The limits that a relay is configured with.
package struct LimitSettings: Hashable, Sendable {
    /// What each user may do, where that is not as usual.
    package var user: LimitSet
    /// How many users' limits an address has.
    package var address: AddressLimit

    package init(user: LimitSet = [:], address: AddressLimit = .standard) {
        self.user = user
        self.address = address
    }

    /// What each user may do.
    package var ofUser: LimitSet { user.over(Self.usual) }

    /// The limits when nothing is configured.
    package static let usual: LimitSet = {
        let user = Defaults.Broker.user
        return [
            .connections: Int64(user.sessions), .offers: Int64(user.accepts), .transfers: Int64(user.accepts),
            .messages: Defaults.Messages.perSecond, .rate: 0, .day: 0,
        ]
    }()
}

/// The limits in force: those of every user and every address, and of users of whom an operator has said otherwise. For
/// any thread.
package final class LimitControl: Sendable {
    private struct State {
        var settings: LimitSettings
        var ofUser: LimitSet
        var ofAddress: LimitSet?
        var users: [PeerName: LimitSet] = [:]

        init(_ settings: LimitSettings) {
            self.settings = settings
            ofUser = settings.ofUser
            ofAddress = settings.address.users.map { settings.ofUser.times($0) }
        }
    }

    private let state: Mutex<State>
    private let changes = Atomic<UInt64>(0)
    private let broker: @Sendable (BrokerEvent) -> Void

    /// - Parameter broker: is told of what may be held.
    package init(_ settings: LimitSettings = LimitSettings(), broker: @escaping @Sendable (BrokerEvent) -> Void) {
        state = Mutex(State(settings))
        self.broker = broker
        tell(settings)
    }

    /// Takes other limits from now on: what is held already stays. This is all that a reload has to call.
    package func apply(limits settings: LimitSettings) {
        let users = state.withLock { state in
            let users = state.users
            state = State(settings)
            state.users = users
            return users
        }
        changes.add(1, ordering: .releasing)
        tell(settings)
        for (name, limits) in users { tell(name, limits) }
    }

    /// Takes the limits of `name` alone, as its login, or an operator, has just shown them.
    package func learned(_ name: PeerName, _ limits: LimitSet) {
        let hasChanged = state.withLock { state in
            defer { state.users[name] = limits.isEmpty ? nil : limits }
            return state.users[name] ?? [:] != limits
        }
        guard hasChanged else { return }
        changes.add(1, ordering: .releasing)
        tell(name, limits)
    }

    /// Another one after each change: as long as it is the same, all limits are.
    var edition: UInt64 { changes.load(ordering: .acquiring) }

    /// What the relay is configured with.
    package var settings: LimitSettings { state.withLock { $0.settings } }

    /// All limits of `name`.
    package func limits(of name: PeerName) -> LimitSet {
        state.withLock { state in (state.users[name] ?? [:]).over(state.ofUser) }
    }

    /// A limit of `name`; nil when there is none.
    package func most(_ limit: LimitName, of name: PeerName) -> Int64? {
        let most = state.withLock { $0.users[name]?[limit] ?? $0.ofUser[limit] ?? 0 }
        return most == 0 ? nil : most
    }

    /// A limit of each address; nil when there is none.
    package func mostOfAddress(_ limit: LimitName) -> Int64? {
        let most = state.withLock { $0.ofAddress?[limit] ?? 0 }
        return most == 0 ? nil : most
    }

    /// Bytes a second that `name` may move, by its own limit or, where it has one, by its address'; nil when there is
    /// none.
    func rate(of name: PeerName, isAddressed: Bool) -> Int64? {
        [most(.rate, of: name), isAddressed ? mostOfAddress(.rate) : nil].compactMap(\.self).min()
    }

    /// How fast `name` may say what it has to say; nil: as fast as each user.
    func messages(of name: PeerName) -> Pace.Limits? {
        let most = state.withLock { $0.users[name]?[.messages] ?? $0.settings.user[.messages] }
        return most.map(Self.pace)
    }

    /// How fast the clients of one address may say what they have to say.
    var messagesOfAddress: Pace.Limits {
        let settings = state.withLock { $0.settings }
        let user = settings.user[.messages].map(Self.pace) ?? Defaults.Messages.user
        return settings.address.messages(user) ?? Self.pace(0)
    }

    private static func pace(_ perSecond: Int64) -> Pace.Limits {
        perSecond == 0
            ? Pace.Limits(perSecond: Defaults.Limits.mostOfAnything, burst: Defaults.Limits.mostOfAnything)
            : Pace.Limits(perSecond: perSecond, burst: 2 * perSecond)
    }

    private func tell(_ settings: LimitSettings) {
        let user = Holding(settings.user)
        broker(.limitsChanged(user: user, address: settings.address.users.map { user.times($0) }))
    }

    private func tell(_ name: PeerName, _ limits: LimitSet) {
        let holding = limits.isEmpty ? nil : Holding(limits, usual: Holding(state.withLock { $0.settings.user }))
        broker(.allowanceChanged(name, holding))
    }
}
