// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

@Suite struct BrokerAcrossNodesTests {
    private var network = BrokerNetwork()
    private let a = NodeID(rawValue: "a")!
    private let b = NodeID(rawValue: "b")!
    private let c = NodeID(rawValue: "c")!

    /// Alice on a has offered to bob on b, whose download is parked on c.
    private mutating func parked() throws -> (alice: SessionID, bob: SessionID, stream: StreamKey) {
        let bob = network.open("bob", at: b, receiving: true)
        let alice = network.open("alice", at: a, receiving: false)
        let transfer = network.offer(alice, to: "bob")
        network.settle()
        network.accept(bob, transfer)
        network.settle()
        let token = network.token(of: bob)
        let id = network.claim(try #require(token), as: .download, at: c, home: a)
        network.settle()
        let claim = try #require(network.answers[id] ?? nil)
        #expect(claim == StreamClaim(stream: StreamKey(home: a, transfer: transfer), download: c))
        network.report(claim.stream, .downloadParked, at: c)
        network.settle()
        return (alice, bob, claim.stream)
    }

    @Test mutating func aTransferWithEachPartOnAnotherNode() throws {
        let (alice, bob, stream) = try parked()
        #expect(network.summary(alice) == ["welcome", "ringing", "accepted", "start"])
        #expect(network.summary(bob) == ["welcome", "ok", "ring", "start"])
        let token = network.token(of: alice)
        let id = network.claim(try #require(token), as: .upload, at: b, home: a)
        network.settle()
        #expect(
            network.answers[id] == .some(StreamClaim(stream: stream, download: c)), "the upload is told where to go")
        network.report(stream, .joined, at: c)
        network.report(stream, .finished(bytes: 3), at: c)
        network.settle()
        let delivered = ClientMessage.Delivered(
            id: network.requestID(), transfer: stream.transfer, payload: BrokerFixture.payload
        )
        network.ask(bob, .delivered(delivered))
        network.settle()
        #expect(network.summary(alice).last == "delivered")
        #expect(network.summary(bob).last == "ok")
        #expect(
            network.nodes[b]?.snapshot.remoteTransfers.isEmpty == true
                && network.nodes[a]?.snapshot.remoteSessions.isEmpty == true)
        #expect(network.nodes[a]?.snapshot.halves.isEmpty == true && network.homes[a]?.isEmpty == true)
        #expect(network.nodes[b]?.activeTransfers == 0 && network.nodes[a]?.activeTransfers == 0)
    }

    @Test mutating func notesGoToTheOtherNodeAndBackInTheirOrder() throws {
        let (alice, bob, stream) = try parked()
        let stranger = network.open("bob", at: c, receiving: true)
        network.settle()
        let payloads = try (UInt8(0)..<8).map { try #require(Payload(bytes: [$0])) }
        func note(_ session: SessionID, _ payload: Payload) {
            network.ask(
                session, .note(.init(id: network.requestID(), transfer: stream.transfer, payload: payload)))
        }
        for payload in payloads {
            note(alice, payload)
            note(bob, payload)
        }
        note(stranger, payloads[0])
        network.settle()
        for session in [alice, bob] {
            let heard = (network.said[session] ?? []).compactMap {
                if case .note(let note) = $0 { note.payload } else { nil }
            }
            #expect(heard == payloads, "\(session)")
        }
        #expect(network.summary(stranger).last == "error.unknown_transfer")
    }

    @Test mutating func theFirstOfTwoNodesToAcceptWins() {
        let bobs = [network.open("bob", at: b, receiving: true), network.open("bob", at: c, receiving: true)]
        let alice = network.open("alice", at: a, receiving: false)
        let transfer = network.offer(alice, to: "bob")
        network.settle()
        for bob in bobs { network.accept(bob, transfer) }
        network.settle()
        let summaries = bobs.map { network.summary($0).suffix(2) }
        #expect(summaries[0] == ["ring", "start"])
        #expect(summaries[1] == ["failed.accepted_elsewhere", "error.unknown_transfer"])
        #expect(network.nodes[c]?.snapshot.remoteTransfers.isEmpty == true)
    }

    @Test mutating func anOfferWaitsUntilASessionOfAnotherNodeReceives() {
        let alice = network.open("alice", at: a, receiving: false)
        _ = network.offer(alice, to: "bob")
        #expect(network.summary(alice) == ["welcome", "waiting"])
        let bob = network.open("bob", at: b, receiving: true)
        network.settle()
        #expect(network.summary(bob).last == "ring")
        #expect(network.summary(alice) == ["welcome", "waiting", "ringing"])
        network.handle(.sessionClosed(bob), at: b)
        network.settle()
        #expect(network.summary(alice).last == "waiting")
    }

    @Test mutating func anAcceptOnAStoppingNodeFailsAsDraining() throws {
        let bob = network.open("bob", at: b, receiving: true)
        let alice = network.open("alice", at: a, receiving: false)
        let transfer = network.offer(alice, to: "bob")
        network.settle()
        network.accept(bob, transfer)
        // The home has decided, and its answer is on the way when the node lets idle sessions go.
        network.deliver(.init(from: b, to: a))
        network.handle(.drainBegun, at: b)
        network.handle(.sessionClosed(bob), at: b)
        network.settle()
        #expect(network.summary(alice).last == "failed.draining")
        #expect(
            network.nodes[a]?.snapshot.transfers.isEmpty == true
                && network.nodes[b]?.snapshot.remoteTransfers.isEmpty == true)
    }

    @Test mutating func withoutTheClusterARemoteReceiverIsUnavailableAndNotOffline() {
        let alice = network.open("alice", at: a, receiving: false)
        let bob = BrokerFixture.user("bob")
        let offer = ClientMessage.Offer(
            id: network.requestID(), transfer: .random(), to: bob.name, wait: true, payload: BrokerFixture.payload
        )
        let found = LookupResult(user: bob, elsewhere: .unknown)
        network.ask(alice, .offer(offer), found: found)
        network.ask(alice, .lookup(.init(id: network.requestID(), name: bob.name)), found: found)
        #expect(network.summary(alice) == ["welcome", "error.cluster_unavailable", "error.cluster_unavailable"])
        _ = network.open("bob", at: a, receiving: true)
        network.ask(alice, .offer(offer), found: found)
        #expect(network.summary(alice).last == "ringing", "who is on this node is known without the others")
    }

    @Test mutating func theSenderHearsThatTheReceiversNodeIsLost() throws {
        let (alice, _, stream) = try parked()
        network.restart(b)
        network.settle()
        #expect(network.summary(alice).last == "failed.cluster_unavailable", "worth another try")
        #expect(network.aborted[c] == [stream])
        #expect(network.nodes[a]?.snapshot.transfers.isEmpty == true)
    }

    @Test mutating func bothSidesHearThatTheDownloadsNodeIsLost() throws {
        let (alice, bob, _) = try parked()
        network.restart(c)
        network.settle()
        #expect(network.summary(alice).last == "failed.cluster_unavailable")
        #expect(network.summary(bob).last == "failed.cluster_unavailable")
    }

    @Test mutating func receiversHearThatTheHomeIsLost() throws {
        let (_, bob, _) = try parked()
        network.restart(a)
        network.settle()
        #expect(network.summary(bob).last == "failed.cluster_unavailable")
        #expect(network.nodes[b]?.snapshot.remoteTransfers.isEmpty == true && network.nodes[b]?.activeTransfers == 0)
    }

    @Test mutating func aDownloadThatParksTooLateIsCut() throws {
        let (alice, _, stream) = try parked()
        let cancel = ClientMessage.Cancel(id: network.requestID(), transfer: stream.transfer, code: .cancelled)
        network.ask(alice, .cancel(cancel))
        network.settle()
        network.aborted = [:]
        network.report(stream, .downloadParked, at: c)
        network.settle()
        #expect(network.aborted[c] == [stream])
    }

    @Test mutating func reportsOfANodeThatHoldsNoHalfAreIgnored() throws {
        let (alice, _, stream) = try parked()
        let before = network.summary(alice)
        network.report(stream, .cut(.stalled, bytes: 0), at: b)
        network.report(stream, .finished(bytes: 9), at: b)
        network.settle()
        #expect(network.summary(alice) == before)
    }

    @Test mutating func twoHomesWithOneTransferIDDoNotMix() throws {
        let (_, bob, stream) = try parked()
        let ring = NodeMessage.notice(
            session: bob.number,
            .ring(
                stream.transfer, from: BrokerFixture.user("mallory"), to: BrokerFixture.user("bob").name,
                BrokerFixture.payload)
        )
        network.handle(.messageReceived(ring, from: c), at: b)
        #expect(network.summary(bob).filter { $0 == "ring" }.count == 1)
        let failed = NodeMessage.notice(session: bob.number, .failed(stream.transfer, .expired, by: .relay))
        network.handle(.messageReceived(failed, from: c), at: b)
        #expect(network.summary(bob).last == "start", "only the home ends it")
    }

    @Test mutating func onlyTheRecipientIsRungWhateverRedisSays() {
        let carol = network.open("carol", at: b, receiving: true)
        let alice = network.open("alice", at: a, receiving: false)
        _ = network.offer(alice, to: "bob")
        network.handle(.receiversAppeared(BrokerFixture.user("bob").name, [carol]), at: a)
        network.settle()
        #expect(network.summary(carol) == ["welcome", "ok"])
        #expect(network.summary(alice).last == "waiting", "no receiver was there")
        #expect(
            network.nodes[b]?.snapshot.remoteTransfers.isEmpty == true
                && network.nodes[a]?.snapshot.remoteSessions.isEmpty == true)
    }

    @Test mutating func aDrainingNodeSendsTheIdleAwayAndWaitsForTheBusy() throws {
        let (_, bob, stream) = try parked()
        let idle = network.open("carol", at: b, receiving: true)
        var broker = try #require(network.nodes[b])
        #expect(broker.handle(.drainBegun, now: network.now) == [.close(idle, .goingAway)])
        #expect(broker.activeTransfers == 1)
        let release = NodeMessage.release(session: bob.number, transfer: stream.transfer)
        #expect(
            broker.handle(.messageReceived(release, from: a), now: network.now) == [.close(bob, .goingAway)]
        )
        #expect(broker.activeTransfers == 0)
    }
}
