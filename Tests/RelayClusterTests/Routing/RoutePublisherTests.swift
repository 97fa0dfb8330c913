// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import ServerSystem
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("RoutePublisher")
struct RoutePublisherTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let epoch = Epoch.random()
    private let incarnation = Incarnation.random()
    private let own = ListenAddress(host: "10.0.0.1", port: 1)
    private let bob = PeerName.test("bob")
    private let carol = PeerName.test("carol")

    private func fresh(batch: Int = 3, tokens: Int = 4) -> RoutePublisher {
        var limits = RoutePublisher.Limits()
        (limits.batch, limits.tokens) = (batch, tokens)
        let timing = RoutingTiming(life: .seconds(15))
        var publisher = RoutePublisher(node: .test("a"), incarnation: incarnation, timing: timing, limits: limits)
        publisher.begin(at: own, ownsAddress: true)
        return publisher
    }

    private func held(batch: Int = 3) -> RoutePublisher {
        var publisher = fresh(batch: batch)
        publisher.connected()
        _ = drain(&publisher)
        return publisher
    }

    /// Everything there is to write, as it succeeds.
    private func drain(_ publisher: inout RoutePublisher) -> (writes: [RouteWrite], actions: [RoutePublisherAction]) {
        var writes: [RouteWrite] = []
        var actions: [RoutePublisherAction] = []
        while let announcement = publisher.next(now: now) {
            switch announcement {
            case .presence: actions += publisher.answered(.held(epoch, isNew: false))
            case .routes(let batch):
                writes += batch
                actions += publisher.succeeded()
            case .users, .leave: actions += publisher.succeeded()
            }
        }
        return (writes, actions)
    }

    private func presence(_ port: UInt16) throws -> String {
        let address = ListenAddress(host: "10.0.0.1", port: port)
        let presence = NodePresence(incarnation: .random(), address: address, version: Label(clipping: "1"))
        return try #require(presence.text)
    }

    @Test("nothing is written before the presence is taken, then everything")
    func joining() {
        var publisher = fresh()
        publisher.setReceiving(bob, sessions: [2, 1])
        publisher.setSharing(bob, true)
        publisher.setWaiting(carol, true)
        #expect(publisher.next(now: now) == nil)
        publisher.tick(now: now)
        #expect(publisher.next(now: now) == nil)
        publisher.connected()
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        #expect(publisher.next(now: now) == nil, "one at a time")
        #expect(publisher.answered(.held(epoch, isNew: true)) == [.joined(epoch), .announceEpoch])
        let (writes, actions) = drain(&publisher)
        let life = TimeAmount.seconds(15)
        #expect(
            Set(writes) == [
                RouteWrite(route: .receiving(bob), value: "\(incarnation) 1,2", life: life),
                RouteWrite(route: .sharing(bob), value: "\(incarnation)", life: life),
                RouteWrite(route: .waiting(carol), value: "\(incarnation)", life: life),
            ])
        #expect(Set(actions) == [.notifyHomes(bob), .findReceivers(carol), .joined(epoch), .everythingWritten])
    }

    @Test("the route of a name that shares is written, renewed and withdrawn, and no node is told")
    func sharing() {
        var publisher = held()
        publisher.setSharing(bob, true)
        publisher.setSharing(bob, true)
        let life = TimeAmount.seconds(15)
        let write = RouteWrite(route: .sharing(bob), value: "\(incarnation)", life: life)
        let (first, actions) = drain(&publisher)
        #expect(first == [write] && actions.isEmpty)
        publisher.tick(now: now)
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        _ = publisher.answered(.held(epoch, isNew: false))
        #expect(drain(&publisher).writes == [write])
        publisher.setSharing(bob, false)
        #expect(drain(&publisher).writes == [RouteWrite(route: .sharing(bob), value: nil, life: life)])
    }

    @Test("a change is written and acted on once; a renewal is only written")
    func changes() {
        var publisher = held()
        publisher.setReceiving(bob, sessions: [1])
        publisher.setReceiving(bob, sessions: [1])
        #expect(drain(&publisher).actions == [.notifyHomes(bob)])
        publisher.setReceiving(bob, sessions: [1])
        #expect(publisher.next(now: now) == nil, "nothing changed")
        publisher.tick(now: now)
        let renewal = drain(&publisher)
        #expect(renewal.writes.count == 1 && renewal.actions == [.joined(epoch)])
        publisher.setReceiving(bob, sessions: [])
        let withdrawal = drain(&publisher)
        #expect(withdrawal.writes == [RouteWrite(route: .receiving(bob), value: nil, life: .seconds(15))])
        #expect(withdrawal.actions.isEmpty)
        publisher.setWaiting(bob, true)
        publisher.setWaiting(bob, false)
        #expect(drain(&publisher).actions.isEmpty)
    }

    @Test("what changes while it is being written is written again, with the newest state")
    func newestLast() {
        var publisher = held()
        publisher.setReceiving(bob, sessions: [1])
        _ = publisher.next(now: now)
        publisher.setReceiving(bob, sessions: [1, 2])
        #expect(publisher.succeeded() == [.notifyHomes(bob)])
        #expect(drain(&publisher).writes.map(\.value) == ["\(incarnation) 1,2"])
    }

    @Test("batches have a limit, and changes come before renewals")
    func batches() throws {
        var publisher = held()
        let homes = (0..<10).map { _ in TransferID.random() }
        for home in homes { publisher.addHome(home) }
        var sizes: [Int] = []
        while case .routes(let writes) = publisher.next(now: now) {
            sizes.append(writes.count)
            _ = publisher.succeeded()
        }
        #expect(sizes == [3, 3, 3, 1])
        publisher.tick(now: now)
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        _ = publisher.answered(.held(epoch, isNew: false))
        publisher.setWaiting(bob, true)
        #expect(
            publisher.next(now: now)
                == .routes([
                    RouteWrite(route: .waiting(bob), value: "\(incarnation)", life: .seconds(15))
                ]))
        _ = publisher.succeeded()
        // Ticks while a round of renewals is under way do not begin it anew.
        _ = publisher.next(now: now)
        publisher.tick(now: now)
        _ = publisher.succeeded()
        #expect(drain(&publisher).writes.count == 7)
    }

    @Test("a token's route lives as long as any other, but not longer than the token is good; then it is forgotten")
    func tokens() throws {
        var publisher = held(batch: 10)
        let digests = (0..<5).map { _ in TokenDigest(Token.random()) }
        for digest in digests[0..<4] {
            let isAdded = publisher.addToken(digest, expiry: now + .seconds(60))
            #expect(isAdded)
        }
        let isAdded = publisher.addToken(digests[4], expiry: now + .seconds(60))
        #expect(!isAdded, "too many")
        guard case .routes(let writes) = publisher.next(now: now + .seconds(20)) else {
            Issue.record("no routes")
            return
        }
        let home = RouteValue.Home(node: .test("a"), incarnation: incarnation).text
        #expect(writes.allSatisfy { $0.life == .seconds(15) && $0.value == home })
        #expect(Set(publisher.succeeded()) == Set(digests[0..<4].map(RoutePublisherAction.published)))
        publisher.tick(now: now + .seconds(50))
        _ = publisher.next(now: now + .seconds(50))
        _ = publisher.answered(.held(epoch, isNew: false))
        guard case .routes(let last) = publisher.next(now: now + .seconds(50)) else {
            Issue.record("no renewal")
            return
        }
        #expect(last.count == 4 && last.allSatisfy { $0.life == .seconds(10) && $0.value == home })
        _ = publisher.succeeded()
        publisher.removeToken(digests[0])
        #expect(drain(&publisher).writes.map(\.value) == [nil])
        publisher.tick(now: now + .seconds(60))
        #expect(publisher.tokens.isEmpty)
    }

    @Test("a failure is not repeated before time passes or the connection is back; nothing is lost by it")
    func failures() {
        var publisher = held()
        publisher.setReceiving(bob, sessions: [1])
        _ = publisher.next(now: now)
        #expect(publisher.failed() == [])
        #expect(publisher.next(now: now) == nil)
        publisher.tick(now: now)
        #expect(drain(&publisher).actions == [.joined(epoch), .notifyHomes(bob)])

        publisher.setReceiving(carol, sessions: [2])
        _ = publisher.next(now: now)
        publisher.disconnected()
        _ = publisher.failed()
        publisher.setWaiting(bob, true)
        publisher.tick(now: now)
        #expect(publisher.next(now: now) == nil)
        publisher.connected()
        let (writes, actions) = drain(&publisher)
        #expect(Set(writes.map(\.route)) == [.receiving(bob), .receiving(carol), .waiting(bob)])
        #expect(Set(actions) == [.joined(epoch), .restoreUsers, .notifyHomes(carol), .findReceivers(bob)])

        // The old connection's failure comes after the new one stands.
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        publisher.disconnected()
        publisher.connected()
        #expect(publisher.failed() == [])
        #expect(publisher.next(now: now) == .presence(replacing: nil))
    }

    @Test("no writes are queued while Redis is away")
    func away() {
        var publisher = held()
        publisher.disconnected()
        for _ in 0..<1000 {
            let transfer = TransferID.random()
            publisher.addHome(transfer)
            publisher.removeHome(transfer)
        }
        publisher.connected()
        #expect(drain(&publisher).writes.isEmpty)
    }

    @Test("another epoch means that everything is written again, users included")
    func newEpoch() {
        var publisher = held()
        publisher.setReceiving(bob, sessions: [1])
        _ = drain(&publisher)
        publisher.checkEpoch()
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        let other = Epoch.random()
        #expect(
            publisher.answered(.held(other, isNew: true)) == [.joined(other), .emptied, .restoreUsers, .announceEpoch])
        let users = (0..<4).map { User.test("name\($0)") }
        publisher.restore(users)
        #expect(
            publisher.next(now: now)
                == .routes([
                    RouteWrite(route: .receiving(bob), value: "\(incarnation) 1", life: .seconds(15))
                ]))
        _ = publisher.succeeded()
        #expect(publisher.next(now: now) == .users(Array(users[..<3])))
        _ = publisher.failed()
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        _ = publisher.answered(.held(other, isNew: false))
        guard case .routes = publisher.next(now: now) else {
            Issue.record("no renewal")
            return
        }
        _ = publisher.succeeded()
        #expect(publisher.next(now: now) == .users([users[3], users[0], users[1]]))
        _ = publisher.succeeded()
        #expect(publisher.next(now: now) == .users([users[2]]))
    }

    @Test("the presence names an epoch as soon as everything has been written in it, and the other nodes are told then")
    func announcedEpoch() {
        var publisher = fresh()
        publisher.connected()
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        #expect(publisher.written == nil)
        #expect(publisher.answered(.held(epoch, isNew: false)) == [.joined(epoch)])
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        #expect(publisher.written == epoch)
        #expect(publisher.answered(.held(epoch, isNew: false)) == [.joined(epoch), .everythingWritten])
        #expect(publisher.next(now: now) == nil)

        publisher.setReceiving(bob, sessions: [1])
        #expect(drain(&publisher).actions == [.notifyHomes(bob)])
        publisher.checkEpoch()
        _ = publisher.next(now: now)
        let other = Epoch.random()
        #expect(publisher.answered(.held(other, isNew: false)) == [.joined(other), .emptied, .restoreUsers])
        let user = User.test("carol")
        publisher.restore([user])
        guard case .routes = publisher.next(now: now) else {
            Issue.record("no routes")
            return
        }
        _ = publisher.succeeded()
        // As long as a user is missing in Redis, the presence does not say that everything is there.
        #expect(publisher.next(now: now) == .users([user]))
        _ = publisher.failed()
        #expect(publisher.next(now: now) == nil)
        publisher.tick(now: now)
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        #expect(publisher.written == epoch)
        #expect(publisher.answered(.held(other, isNew: false)) == [.joined(other)])
        _ = publisher.next(now: now)
        _ = publisher.succeeded()
        #expect(publisher.next(now: now) == .users([user]))
        _ = publisher.succeeded()
        #expect(publisher.next(now: now) == .presence(replacing: nil))
        #expect(publisher.written == other)
        #expect(publisher.answered(.held(other, isNew: false)) == [.joined(other), .everythingWritten])
        #expect(publisher.next(now: now) == nil)
    }

    @Test("an earlier start at the same address is replaced, once a round")
    func earlierStart() throws {
        var publisher = fresh()
        publisher.connected()
        _ = publisher.next(now: now)
        let text = try presence(1)
        #expect(publisher.answered(.taken(text, remaining: .seconds(9))) == [])
        #expect(publisher.next(now: now) == .presence(replacing: text))
        // Another node changes it again and again: no endless loop.
        let again = publisher.answered(.taken(try presence(1), remaining: .seconds(9)))
        #expect(again.count == 1)
        #expect(publisher.next(now: now) == nil)
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        #expect(publisher.answered(.held(epoch, isNew: false)) == [.joined(epoch)])
        // From here on a node that takes the place is a later one.
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        #expect(publisher.answered(.taken(text, remaining: .seconds(9))).count == 1)
        #expect(publisher.next(now: now) == nil)
    }

    @Test("another process with the id is seen to live when its life grows; nothing is written meanwhile")
    func rival() throws {
        var publisher = held()
        publisher.setReceiving(bob, sessions: [1])
        _ = drain(&publisher)
        let text = try presence(2)
        var seen: [Bool] = []
        for remaining in [9, 8, 7, 15, 14] {
            publisher.tick(now: now)
            publisher.setWaiting(bob, remaining.isMultiple(of: 2))
            #expect(publisher.next(now: now) == .presence(replacing: nil))
            for action in publisher.answered(.taken(text, remaining: .seconds(Int64(remaining)))) {
                if case .taken(let presence, let isRenewed) = action {
                    #expect(presence?.address.port == 2)
                    seen.append(isRenewed)
                }
            }
            #expect(publisher.next(now: now) == nil)
        }
        #expect(seen == [false, false, false, true, false])
        publisher.tick(now: now)
        _ = publisher.next(now: now)
        #expect(publisher.answered(.taken("nonsense", remaining: .seconds(1))) == [.taken(nil, isRenewed: false)])
        publisher.tick(now: now)
        #expect(drain(&publisher).writes.contains { $0.route == .receiving(bob) })
    }

    @Test("leaving takes everything away, whatever the state")
    func leaving() {
        var publisher = held(batch: 10)
        publisher.setReceiving(bob, sessions: [1])
        publisher.addHome(.random())
        _ = drain(&publisher)
        publisher.leave()
        #expect(publisher.next(now: now) == .leave)
        #expect(publisher.succeeded() == [])
        guard case .routes(let writes) = publisher.next(now: now) else {
            Issue.record("no withdrawal")
            return
        }
        #expect(writes.count == 2 && writes.allSatisfy { $0.value == nil })
        #expect(publisher.succeeded() == [.left])
        #expect(publisher.state == .gone)

        var empty = held()
        empty.leave()
        _ = empty.next(now: now)
        #expect(empty.succeeded() == [.left])

        var failing = held()
        failing.leave()
        _ = failing.next(now: now)
        #expect(failing.failed() == [.left])

        for prepare in [{ (_: inout RoutePublisher) in }, { $0.connected() }] {
            var publisher = fresh()
            prepare(&publisher)
            publisher.leave()
            #expect(publisher.state == .gone)
        }
    }

    /// A publisher in each of its states, by a name for the state.
    private func everyState(_ rival: String) -> [(String, RoutePublisher)] {
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
        let events: [(inout RoutePublisher) -> Void] = [
            { $0.connected() }, { $0.disconnected() }, { $0.tick(now: now) }, { $0.checkEpoch() }, { $0.leave() },
            { $0.setReceiving(bob, sessions: [1]) }, { $0.setReceiving(bob, sessions: []) },
            { $0.setWaiting(bob, true) }, { $0.setWaiting(bob, false) }, { $0.restore([.test("bob")]) },
            { _ = $0.next(now: now) }, { _ = $0.succeeded() }, { _ = $0.failed() },
            { _ = $0.answered(.held(.random(), isNew: true)) },
            { _ = $0.answered(.taken(text, remaining: .seconds(1))) },
        ]
        for (name, start) in everyState(text) {
            for first in events {
                for second in events {
                    var publisher = start
                    first(&publisher)
                    second(&publisher)
                    if start.state == .gone {
                        #expect(publisher.state == .gone && publisher.next(now: now) == nil, "\(name)")
                    }
                    // Whatever happened: once Redis is there and the place is ours, what is there gets written.
                    guard publisher.state != .gone, publisher.state != .leaving else { continue }
                    _ = publisher.failed()
                    publisher.disconnected()
                    publisher.setReceiving(carol, sessions: [3])
                    publisher.connected()
                    #expect(drain(&publisher).writes.contains { $0.route == .receiving(carol) }, "\(name)")
                }
            }
        }
    }
}
