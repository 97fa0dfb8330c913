// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite struct LinkReceiverTests {
    private let now = LinkSamples.start

    /// Each state, by name.
    enum Stage: CaseIterable { case none, connected, broken, ended }

    private static let (first, second) = (LinkConnection.inbound(1), LinkConnection.inbound(2))

    private static func hello(
        _ association: UInt64, from incarnation: Incarnation = LinkSamples.endA.incarnation,
        to node: NodeID = LinkSamples.b,
        toIncarnation: Incarnation? = LinkSamples.endB.incarnation
    ) -> LinkFrame.Hello {
        .init(
            node: LinkSamples.a, incarnation: incarnation, to: node, toIncarnation: toIncarnation,
            association: association)
    }

    private static func welcome(_ received: UInt64?, _ connection: LinkConnection) -> LinkAction {
        .say(
            .welcome(.init(node: LinkSamples.b, incarnation: LinkSamples.endB.incarnation, received: received)),
            connection
        )
    }

    /// A receiver in that state: association 5, two messages received.
    private static func receiver(_ stage: Stage) -> LinkReceiver {
        var receiver = LinkReceiver(me: LinkSamples.endB)
        if stage == .none { return receiver }
        #expect(receiver.called(hello(5), on: first) == [welcome(0, first)])
        for seq in 1...UInt64(2) {
            let actions = receiver.received(LinkSamples.message(seq), seq: seq, on: first, now: LinkSamples.start)
            #expect(
                actions == [
                    .deliver(LinkSamples.message(seq), from: LinkSamples.endA.incarnation), .say(.ack(seq), first),
                ])
        }
        switch stage {
        case .none, .connected: break
        case .broken: receiver.disconnected(first, silence: .zero, now: LinkSamples.start)
        case .ended: #expect(receiver.end() == [.close(first)])
        }
        return receiver
    }

    @Test(arguments: Stage.allCases) func everyCallInEveryState(stage: Stage) {
        func actions(_ hello: LinkFrame.Hello) -> [LinkAction] {
            var receiver = Self.receiver(stage)
            return receiver.called(hello, on: Self.second)
        }
        let second = Self.second
        let turnedAway = [Self.welcome(nil, second), .close(second)]
        let began = [Self.welcome(0, second)]
        let closed: [LinkAction] = stage == .connected ? [.close(Self.first)] : []
        // For another node, or for another start of this one.
        #expect(actions(Self.hello(5, to: LinkSamples.a)) == [.reject(second)])
        #expect(actions(Self.hello(9, toIncarnation: LinkSamples.incarnation(9))) == turnedAway)
        switch stage {
        case .none:
            for number in [4, 5, 6] { #expect(actions(Self.hello(UInt64(number))) == began) }
        case .connected, .broken:
            #expect(actions(Self.hello(4)) == turnedAway)
            #expect(actions(Self.hello(5)) == closed + [Self.welcome(2, second)])
            #expect(actions(Self.hello(5, toIncarnation: nil)) == closed + [Self.welcome(2, second)])
            #expect(actions(Self.hello(6)) == closed + [.lost(.released)] + began)
            #expect(actions(Self.hello(1, from: LinkSamples.incarnation(7))) == closed + [.lost(.replaced)] + began)
        case .ended:
            #expect(actions(Self.hello(4)) == turnedAway)
            #expect(actions(Self.hello(5)) == turnedAway)
            #expect(actions(Self.hello(6)) == began)
            #expect(actions(Self.hello(1, from: LinkSamples.incarnation(7))) == began)
        }
    }

    @Test(arguments: Stage.allCases) func everyMessageInEveryState(stage: Stage) {
        for (seq, expected) in [
            (UInt64(0), [LinkAction]()), (1, []), (2, []),
            (3, [.deliver(LinkSamples.message(3), from: LinkSamples.endA.incarnation), .say(.ack(3), Self.first)]),
            (4, [.reject(Self.first)]), (.max, [.reject(Self.first)]),
        ] {
            var receiver = Self.receiver(stage)
            let actions = receiver.received(LinkSamples.message(3), seq: seq, on: Self.first, now: now)
            #expect(actions == (stage == .connected ? expected : []))
            receiver = Self.receiver(stage)
            #expect(receiver.received(LinkSamples.message(3), seq: seq, on: Self.second, now: now) == [])
        }
    }

    @Test(arguments: Stage.allCases) func everyOtherEventInEveryState(stage: Stage) {
        var receiver = Self.receiver(stage)
        #expect(receiver.deadline == (stage == .broken ? now + Defaults.Link.loss : nil))
        #expect(receiver.timerFired(now: now + Defaults.Link.loss - .nanoseconds(1)) == [])
        #expect(
            receiver.timerFired(now: now + Defaults.Link.loss) == (stage == .broken ? [.lost(.unreachable)] : []))

        receiver = Self.receiver(stage)
        #expect(receiver.presenceGone(LinkSamples.incarnation(9)) == [])
        #expect(receiver.presenceGone(LinkSamples.endA.incarnation) == (stage == .broken ? [.lost(.gone)] : []))

        receiver = Self.receiver(stage)
        receiver.disconnected(Self.second, silence: .zero, now: now + .seconds(1))
        #expect(receiver.state == Self.receiver(stage).state)
        receiver.disconnected(Self.first, silence: .seconds(3), now: now + .seconds(10))
        #expect(receiver.isConnected == false)
        if stage == .connected { #expect(receiver.deadline == now + .seconds(10 - 3) + Defaults.Link.loss) }

        receiver = Self.receiver(stage)
        #expect(receiver.end() == (stage == .connected ? [.close(Self.first)] : []))
        #expect(receiver.end() == [])
    }
}
