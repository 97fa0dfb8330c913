// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing
import RelayTestFixtures
import Synchronization
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite struct LimitControlTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let alice = PeerName.test("alice")
    private let bob = PeerName.test("bob")

    private func control(_ user: LimitSet, address: AddressLimit = .standard) -> LimitControl {
        LimitControl(LimitSettings(user: user, address: address)) { _ in }
    }

    private func pace(_ perSecond: Int64) -> Pace.Limits { Pace.Limits(perSecond: perSecond, burst: 2 * perSecond) }

    @Test func messagesAreThoseOfEveryUserUnlessOneHasItsOwn() {
        let control = control([:])
        #expect(control.messages(of: alice) == nil, "the usual ones are the budgets' own")
        control.learned(alice, [.messages: 10])
        #expect(control.messages(of: alice) == pace(10) && control.messages(of: bob) == nil)
        control.apply(limits: LimitSettings(user: [.messages: 50]))
        #expect(control.messages(of: alice) == pace(10) && control.messages(of: bob) == pace(50))
        control.learned(alice, [:])
        #expect(control.messages(of: alice) == pace(50))
        control.apply(limits: LimitSettings())
        #expect(control.messages(of: alice) == nil)
    }

    @Test(arguments: [1, 8, 1000]) func anAddressMaySayWhatHalfOfItsUsersMayAndAtOnceWhatOneMay(users: Int) throws {
        let address = try #require(AddressLimit("\(users)"))
        let usual = control([:], address: address).messagesOfAddress
        let atOnce = Int64(max(1, users / 2))
        #expect(usual == Pace.Limits(perSecond: 1000 * atOnce, burst: 2000))
        let own = control([.messages: 50], address: address).messagesOfAddress
        #expect(own == Pace.Limits(perSecond: 50 * atOnce, burst: 100))
    }

    @Test(arguments: [
        LimitSettings(address: .off), LimitSettings(user: [.messages: 0]),
        LimitSettings(user: [.messages: 50], address: .off),
    ])
    func anAddressWithoutALimitWaitsForNothing(_ settings: LimitSettings) {
        let budgets = MessageBudgets(control: LimitControl(settings) { _ in })
        for _ in 0..<100 {
            #expect(budgets.reserve(5000, user: nil, address: "192.0.2.1", now: start) == nil)
        }
    }

    @Test func budgetsAreWhatIsSetNow() {
        let control = control([.messages: 10], address: AddressLimit("2")!)
        let budgets = MessageBudgets(control: control)
        func wait(_ units: Int64, _ name: PeerName, _ address: String?) -> MessageBudgets.Wait? {
            budgets.reserve(units, user: name, address: address, now: start)
        }
        #expect(wait(20, alice, nil) == nil)
        #expect(wait(10, alice, nil) == .init(time: .seconds(1), scope: .user))
        // Two users of one address, of which none has a limit of its own.
        let (carol, dave) = (PeerName.test("carol"), PeerName.test("dave"))
        for name in [carol, dave] { control.learned(name, [.messages: 0]) }
        #expect(wait(20, carol, "192.0.2.1") == nil)
        #expect(wait(10, dave, "192.0.2.1") == .init(time: .seconds(1), scope: .address))
    }

    /// The broker is told of what may be held: those of every user, and of each who has its own, also anew when the
    /// others change.
    @Test func offersThatWaitAreHeldToWhatIsSet() {
        let told = Mutex<[BrokerEvent]>([])
        let control = LimitControl(LimitSettings(user: [.offers: 3])) { event in told.withLock { $0.append(event) } }
        func news() -> [BrokerEvent] {
            told.withLock { events in
                defer { events = [] }
                return events
            }
        }
        let three = Holding([.offers: 3])
        #expect(news() == [.limitsChanged(user: three, address: three.times(Defaults.Broker.usersPerAddress))])
        control.learned(alice, [.offers: 1])
        #expect(news() == [.allowanceChanged(alice, Holding([.offers: 1]))])
        control.learned(alice, [.offers: 1])
        #expect(news().isEmpty)
        control.apply(limits: LimitSettings(user: [.connections: 5], address: .off))
        #expect(
            news() == [
                .limitsChanged(user: Holding([.connections: 5]), address: nil),
                .allowanceChanged(alice, Holding([.offers: 1, .connections: 5])),
            ]
        )
        control.learned(alice, [:])
        #expect(news() == [.allowanceChanged(alice, nil)])
    }
}
