// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import ServerSystem
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("Announcer")
struct AnnouncerTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let epoch = Epoch.random()
    private let incarnation = Incarnation.random()
    private let own = ListenAddress(host: "10.0.0.1", port: 1)
    private let bob = PeerName.test("bob")
    private let carol = PeerName.test("carol")

    private func fresh(batch: Int = 3, tokens: Int = 4) -> Announcer {
        var limits = Announcer.Limits()
        (limits.batch, limits.tokens, limits.life) = (batch, tokens, .seconds(15))
        var announcer = Announcer(node: .test("a"), incarnation: incarnation, limits: limits)
        (announcer.address, announcer.ownsAddress) = (own, true)
        return announcer
    }

    private func held(batch: Int = 3) -> Announcer {
        var announcer = fresh(batch: batch)
        announcer.connected()
        _ = announcer.next(now: now)
        _ = announcer.answered(.held(epoch, isNew: false))
        return announcer
    }

    /// Everything there is to write, as it succeeds.
    private func drain(_ announcer: inout Announcer) -> (writes: [RouteWrite], actions: [AnnouncerAction]) {
        var writes: [RouteWrite] = []
        var actions: [AnnouncerAction] = []
        while let announcement = announcer.next(now: now) {
            switch announcement {
            case .presence: actions += announcer.answered(.held(epoch, isNew: false))
            case .routes(let batch):
                writes += batch
                actions += announcer.succeeded()
            case .users, .leave: actions += announcer.succeeded()
            }
        }
        return (writes, actions)
    }

    private func presence(_ port: UInt16) throws -> String {
        let address = ListenAddress(host: "10.0.0.1", port: port)
        let presence = NodePresence(incarnation: .random(), address: address, version: Label(clipping: "1"))
        return try #require(presence.text)
    }

    @Test("nothing is said before the place is taken, then everything")
    func joining() {
        var announcer = fresh()
        announcer.setReceiving(bob, sessions: [2, 1])
        announcer.setWaiting(carol, true)
        #expect(announcer.next(now: now) == nil)
        announcer.tick(now: now)
        #expect(announcer.next(now: now) == nil)
        announcer.connected()
        #expect(announcer.next(now: now) == .presence(replacing: nil))
        #expect(announcer.next(now: now) == nil, "one at a time")
        #expect(announcer.answered(.held(epoch, isNew: true)) == [.joined(epoch), .ringAnnounce])
        let (writes, actions) = drain(&announcer)
        let life = TimeAmount.seconds(15)
        #expect(
            Set(writes) == [
                RouteWrite(route: .receiving(bob), value: "\(incarnation) 1,2", life: life),
                RouteWrite(route: .waiting(carol), value: "\(incarnation)", life: life),
            ])
        #expect(Set(actions) == [.ringHomes(bob), .lookForReceivers(carol)])
    }

    @Test("a change is written at once and looked after once; a renewal is only written")
    func changes() {
        var announcer = held()
        announcer.setReceiving(bob, sessions: [1])
        announcer.setReceiving(bob, sessions: [1])
        #expect(drain(&announcer).actions == [.ringHomes(bob)])
        announcer.setReceiving(bob, sessions: [1])
        #expect(announcer.next(now: now) == nil, "nothing changed")
        announcer.tick(now: now)
        let renewal = drain(&announcer)
        #expect(renewal.writes.count == 1 && renewal.actions == [.joined(epoch)])
        announcer.setReceiving(bob, sessions: [])
        let withdrawal = drain(&announcer)
        #expect(withdrawal.writes == [RouteWrite(route: .receiving(bob), value: nil, life: .seconds(15))])
        #expect(withdrawal.actions.isEmpty)
        announcer.setWaiting(bob, true)
        announcer.setWaiting(bob, false)
        #expect(drain(&announcer).actions.isEmpty)
    }

    @Test("what changes while it is being written is written again, with the newest state")
    func newestLast() {
        var announcer = held()
        announcer.setReceiving(bob, sessions: [1])
        _ = announcer.next(now: now)
        announcer.setReceiving(bob, sessions: [1, 2])
        #expect(announcer.succeeded() == [.ringHomes(bob)])
        #expect(drain(&announcer).writes.map(\.value) == ["\(incarnation) 1,2"])
    }

    @Test("batches have a limit, and changes come before renewals")
    func batches() throws {
        var announcer = held()
        let homes = (0..<10).map { _ in TransferID.random() }
        for home in homes { announcer.addHome(home) }
        var sizes: [Int] = []
        while case .routes(let writes) = announcer.next(now: now) {
            sizes.append(writes.count)
            _ = announcer.succeeded()
        }
        #expect(sizes == [3, 3, 3, 1])
        announcer.tick(now: now)
        #expect(announcer.next(now: now) == .presence(replacing: nil))
        _ = announcer.answered(.held(epoch, isNew: false))
        announcer.setWaiting(bob, true)
        #expect(
            announcer.next(now: now)
                == .routes([
                    RouteWrite(route: .waiting(bob), value: "\(incarnation)", life: .seconds(15))
                ]))
        _ = announcer.succeeded()
        // Ticks while a round of renewals is under way do not begin it anew.
        _ = announcer.next(now: now)
        announcer.tick(now: now)
        _ = announcer.succeeded()
        #expect(drain(&announcer).writes.count == 7)
    }

    @Test("a token's route lives as long as any other, but not longer than the token is good; then it is forgotten")
    func tokens() throws {
        var announcer = held(batch: 10)
        let digests = (0..<5).map { _ in TokenDigest(Token.random()) }
        for digest in digests[0..<4] {
            let isAdded = announcer.addToken(digest, expiry: now + .seconds(60))
            #expect(isAdded)
        }
        let isAdded = announcer.addToken(digests[4], expiry: now + .seconds(60))
        #expect(!isAdded, "too many")
        guard case .routes(let writes) = announcer.next(now: now + .seconds(20)) else {
            Issue.record("no routes")
            return
        }
        let home = RouteValue.Home(node: .test("a"), incarnation: incarnation).text
        #expect(writes.allSatisfy { $0.life == .seconds(15) && $0.value == home })
        #expect(Set(announcer.succeeded()) == Set(digests[0..<4].map(AnnouncerAction.published)))
        announcer.tick(now: now + .seconds(50))
        _ = announcer.next(now: now + .seconds(50))
        _ = announcer.answered(.held(epoch, isNew: false))
        guard case .routes(let last) = announcer.next(now: now + .seconds(50)) else {
            Issue.record("no renewal")
            return
        }
        #expect(last.count == 4 && last.allSatisfy { $0.life == .seconds(10) && $0.value == home })
        _ = announcer.succeeded()
        announcer.removeToken(digests[0])
        #expect(drain(&announcer).writes.map(\.value) == [nil])
        announcer.tick(now: now + .seconds(60))
        #expect(announcer.tokens.isEmpty)
    }

    @Test("a failure is not repeated before time passes or the connection is back; nothing is lost by it")
    func failures() {
        var announcer = held()
        announcer.setReceiving(bob, sessions: [1])
        _ = announcer.next(now: now)
        #expect(announcer.failed() == [])
        #expect(announcer.next(now: now) == nil)
        announcer.tick(now: now)
        #expect(drain(&announcer).actions == [.joined(epoch), .ringHomes(bob)])

        announcer.setReceiving(carol, sessions: [2])
        _ = announcer.next(now: now)
        announcer.disconnected()
        _ = announcer.failed()
        announcer.setWaiting(bob, true)
        announcer.tick(now: now)
        #expect(announcer.next(now: now) == nil)
        announcer.connected()
        let (writes, actions) = drain(&announcer)
        #expect(Set(writes.map(\.route)) == [.receiving(bob), .receiving(carol), .waiting(bob)])
        #expect(Set(actions) == [.joined(epoch), .restoreUsers, .ringHomes(carol), .lookForReceivers(bob)])

        // The old connection's failure comes after the new one stands.
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        announcer.disconnected()
        announcer.connected()
        #expect(announcer.failed() == [])
        #expect(announcer.next(now: now) == .presence(replacing: nil))
    }

    @Test("nothing piles up while Redis is away")
    func away() {
        var announcer = held()
        announcer.disconnected()
        for _ in 0..<1000 {
            let transfer = TransferID.random()
            announcer.addHome(transfer)
            announcer.removeHome(transfer)
        }
        announcer.connected()
        #expect(drain(&announcer).writes.isEmpty)
    }

    @Test("another epoch means that everything is written again, users included")
    func newEpoch() {
        var announcer = held()
        announcer.setReceiving(bob, sessions: [1])
        _ = drain(&announcer)
        announcer.lookAtEpoch()
        #expect(announcer.next(now: now) == .presence(replacing: nil))
        let other = Epoch.random()
        #expect(
            announcer.answered(.held(other, isNew: true)) == [.joined(other), .emptied, .restoreUsers, .ringAnnounce])
        let users = (0..<4).map { User.test("name\($0)") }
        announcer.restore(users)
        #expect(
            announcer.next(now: now)
                == .routes([
                    RouteWrite(route: .receiving(bob), value: "\(incarnation) 1", life: .seconds(15))
                ]))
        _ = announcer.succeeded()
        #expect(announcer.next(now: now) == .users(Array(users[..<3])))
        _ = announcer.failed()
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        _ = announcer.answered(.held(other, isNew: false))
        guard case .routes = announcer.next(now: now) else {
            Issue.record("no renewal")
            return
        }
        _ = announcer.succeeded()
        #expect(announcer.next(now: now) == .users([users[3], users[0], users[1]]))
        _ = announcer.succeeded()
        #expect(announcer.next(now: now) == .users([users[2]]))
    }

    @Test("an earlier start at the same address is replaced, once a round")
    func earlierStart() throws {
        var announcer = fresh()
        announcer.connected()
        _ = announcer.next(now: now)
        let text = try presence(1)
        #expect(announcer.answered(.taken(text, remaining: .seconds(9))) == [])
        #expect(announcer.next(now: now) == .presence(replacing: text))
        // Another node changes it again and again: no endless loop.
        let again = announcer.answered(.taken(try presence(1), remaining: .seconds(9)))
        #expect(again.count == 1)
        #expect(announcer.next(now: now) == nil)
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        #expect(announcer.answered(.held(epoch, isNew: false)) == [.joined(epoch)])
        // From here on a node that takes the place is a later one.
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        #expect(announcer.answered(.taken(text, remaining: .seconds(9))).count == 1)
        #expect(announcer.next(now: now) == nil)
    }

    @Test("another process with the id is seen to live when its life grows; nothing is written meanwhile")
    func rival() throws {
        var announcer = held()
        announcer.setReceiving(bob, sessions: [1])
        _ = drain(&announcer)
        let text = try presence(2)
        var seen: [Bool] = []
        for remaining in [9, 8, 7, 15, 14] {
            announcer.tick(now: now)
            announcer.setWaiting(bob, remaining.isMultiple(of: 2))
            #expect(announcer.next(now: now) == .presence(replacing: nil))
            for action in announcer.answered(.taken(text, remaining: .seconds(Int64(remaining)))) {
                if case .taken(let presence, let isRenewed) = action {
                    #expect(presence?.address.port == 2)
                    seen.append(isRenewed)
                }
            }
            #expect(announcer.next(now: now) == nil)
        }
        #expect(seen == [false, false, false, true, false])
        announcer.tick(now: now)
        _ = announcer.next(now: now)
        #expect(announcer.answered(.taken("nonsense", remaining: .seconds(1))) == [.taken(nil, isRenewed: false)])
        announcer.tick(now: now)
        #expect(drain(&announcer).writes.contains { $0.route == .receiving(bob) })
    }

    @Test("leaving takes everything away, whatever the state")
    func leaving() {
        var announcer = held(batch: 10)
        announcer.setReceiving(bob, sessions: [1])
        announcer.addHome(.random())
        _ = drain(&announcer)
        announcer.leave()
        #expect(announcer.next(now: now) == .leave)
        #expect(announcer.succeeded() == [])
        guard case .routes(let writes) = announcer.next(now: now) else {
            Issue.record("no withdrawal")
            return
        }
        #expect(writes.count == 2 && writes.allSatisfy { $0.value == nil })
        #expect(announcer.succeeded() == [.left])
        #expect(announcer.state == .gone)

        var empty = held()
        empty.leave()
        _ = empty.next(now: now)
        #expect(empty.succeeded() == [.left])

        var failing = held()
        failing.leave()
        _ = failing.next(now: now)
        #expect(failing.failed() == [.left])

        for prepare in [{ (_: inout Announcer) in }, { $0.connected() }] {
            var announcer = fresh()
            prepare(&announcer)
            announcer.leave()
            #expect(announcer.state == .gone)
        }
    }

    /// An announcer in each of its states, by a name for the state.
    private func everyState(_ rival: String) -> [(String, Announcer)] {
        var (joining, asking, writing, taken, leaving, gone) = (fresh(), fresh(), held(), held(), held(), fresh())
        joining.connected()
        asking.connected()
        _ = asking.next(now: now)
        writing.addHome(.random())
        _ = writing.next(now: now)
        taken.tick(now: now)
        _ = taken.next(now: now)
        _ = taken.answered(.taken(rival, remaining: .seconds(1)))
        leaving.leave()
        gone.leave()
        return [
            ("away", fresh()), ("joining", joining), ("asking", asking), ("held", held()), ("writing", writing),
            ("taken", taken), ("leaving", leaving), ("gone", gone),
        ]
    }

    @Test("every event is harmless in every state")
    func everyEvent() throws {
        let text = try presence(2)
        let events: [(inout Announcer) -> Void] = [
            { $0.connected() }, { $0.disconnected() }, { $0.tick(now: now) }, { $0.lookAtEpoch() }, { $0.leave() },
            { $0.setReceiving(bob, sessions: [1]) }, { $0.setReceiving(bob, sessions: []) },
            { $0.setWaiting(bob, true) }, { $0.setWaiting(bob, false) }, { $0.restore([.test("bob")]) },
            { _ = $0.next(now: now) }, { _ = $0.succeeded() }, { _ = $0.failed() },
            { _ = $0.answered(.held(.random(), isNew: true)) },
            { _ = $0.answered(.taken(text, remaining: .seconds(1))) },
        ]
        for (name, start) in everyState(text) {
            for first in events {
                for second in events {
                    var announcer = start
                    first(&announcer)
                    second(&announcer)
                    if start.state == .gone {
                        #expect(announcer.state == .gone && announcer.next(now: now) == nil, "\(name)")
                    }
                    // Whatever happened: once Redis is there and the place is ours, what is there gets written.
                    guard announcer.state != .gone, announcer.state != .leaving else { continue }
                    _ = announcer.failed()
                    announcer.disconnected()
                    announcer.setReceiving(carol, sessions: [3])
                    announcer.connected()
                    #expect(drain(&announcer).writes.contains { $0.route == .receiving(carol) }, "\(name)")
                }
            }
        }
    }
}
