// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite struct LinkLimitsTests {
    @Test func aComplaintIsLoggedOnceAMinute() {
        var log = LogRateLimiter()
        let now = LinkSamples.start
        #expect(log.isNew(node: LinkSamples.a, address: "x", now: now) == true)
        #expect(log.isNew(node: LinkSamples.a, address: "x", now: now + .seconds(59)) == false)
        #expect(log.isNew(node: LinkSamples.b, address: "x", now: now) == true)
        #expect(log.isNew(node: nil, address: "x", now: now) == true)
        #expect(log.isNew(node: LinkSamples.a, address: "y", now: now) == true)
        #expect(log.isNew(node: LinkSamples.a, address: "x", now: now + .seconds(60)) == true)
    }

    @Test func complaintsDoNotPileUp() {
        var log = LogRateLimiter()
        let now = LinkSamples.start
        for number in 0..<Defaults.Link.warnings {
            #expect(log.isNew(node: nil, address: "\(number)", now: now) == true)
        }
        #expect(log.isNew(node: nil, address: "more", now: now) == false)
        #expect(log.isNew(node: nil, address: "more", now: now + Defaults.Link.warningInterval) == true)
    }

    @Test func theControlFramesOfALinkStayBelowTheirLimit() {
        let limits = WebSocketLimits(controlFrames: Defaults.Link.controlFrames)
        var rules = WebSocketRules(role: .server, limits: limits, jitter: 0, now: LinkSamples.start)
        // Each end pings each second, and answers: two frames a second, for an hour.
        for second in 0..<3600 {
            let now = LinkSamples.start + .seconds(Int64(second))
            for _ in 0..<2 { #expect(rules.frameArrived(isControl: true, now: now) == .nothing) }
        }
    }

    @Test func connectionsCountUntilTheyAreAuthenticatedOrClosed() {
        let count = PreAuthConnectionLimit(limit: 2)
        let (first, second) = (count.admit(), count.admit())
        #expect(first != nil)
        #expect(count.admit() == nil)
        second?.identified()
        second?.identified()
        #expect(count.admit() != nil)
        #expect(count.admit() == nil)
    }

    /// A loss that one half finds ends the other half too, and what follows it stays behind it.
    @Test func aLossOfOneHalfIsALossOfBoth() {
        var peer = LinkPeer(me: LinkSamples.endB, other: LinkSamples.a)
        let (first, second) = (LinkConnection.inbound(1), LinkConnection.inbound(2))
        var hello = LinkFrame.Hello(
            node: LinkSamples.a, incarnation: LinkSamples.endA.incarnation, to: LinkSamples.b,
            toIncarnation: LinkSamples.endB.incarnation, association: 1)
        #expect(peer.called(hello, on: first).count == 1)
        #expect(peer.send(LinkSamples.message(1), now: LinkSamples.start) == [.resolve(attempt: 1)])
        let address = NodeAddress(host: "a", port: 1, incarnation: LinkSamples.endA.incarnation)
        #expect(peer.resolved(address, attempt: 1) == [.dial(address, .outbound(1))])
        hello.association = 2
        let actions = peer.called(hello, on: second)
        #expect(actions.count == 4)
        #expect(Array(actions[..<3]) == [.close(first), .close(.outbound(1)), .lost(.released)])
        #expect(peer.sender.state == .idle)
        #expect(peer.isConnected)
        // And the other way about.
        #expect(peer.send(LinkSamples.message(2), now: LinkSamples.start) == [.resolve(attempt: 3)])
        #expect(peer.resolved(nil, attempt: 3) == [.close(second), .lost(.unknown)])
        #expect(!peer.isConnected)
        #expect(!peer.isForgettable)
    }
}
