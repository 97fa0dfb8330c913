// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite struct LinkSenderTests {
    private static let now = LinkSamples.start
    private var now: NIODeadline { Self.now }

    /// Each state, by name.
    enum Stage: CaseIterable { case idle, resolving, dialing, greeting, open, pausing }

    private static let first = LinkConnection.outbound(1)

    /// A sender in that state, with one message waiting unless it is idle, and the connection its events are about.
    private static func sender(_ stage: Stage, timing: LinkTiming = LinkTiming()) -> LinkSender {
        var sender = LinkSender(me: LinkSamples.endA, other: LinkSamples.b, timing: timing)
        if stage == .idle { return sender }
        #expect(sender.send(LinkSamples.message(1), now: now) == [.resolve(attempt: 1)])
        if stage == .resolving { return sender }
        #expect(sender.resolved(LinkSamples.addressB, attempt: 1) == [.dial(LinkSamples.addressB, first)])
        if stage == .dialing { return sender }
        if stage == .pausing {
            #expect(sender.dialFailed(first, refused: false, now: now) == [])
            return sender
        }
        let hello = LinkFrame.Hello(
            node: LinkSamples.a, incarnation: LinkSamples.endA.incarnation, to: LinkSamples.b,
            toIncarnation: LinkSamples.endB.incarnation, association: 1)
        #expect(sender.connected(first, now: now) == [.say(.hello(hello), first)])
        if stage == .greeting { return sender }
        let actions = sender.received(welcome(0), on: first, now: now)
        #expect(actions.map(\.frame) == [.message(seq: 1, LinkSamples.message(1))])
        return sender
    }

    private static func welcome(
        _ received: UInt64?, node: NodeID = LinkSamples.b, incarnation: Incarnation = LinkSamples.endB.incarnation
    ) -> LinkFrame {
        .welcome(.init(node: node, incarnation: incarnation, received: received))
    }

    private static func isPausing(_ sender: LinkSender) -> Bool {
        if case .pausing = sender.state { return true }
        return false
    }

    /// A flood of requests is dropped long before the other node would be taken for lost.
    @Test(arguments: [Stage.open, .dialing]) func requestsAreDroppedWhenMuchWaits(stage: Stage) {
        var timing = LinkTiming()
        timing.unackedMessages = 8
        var sender = Self.sender(stage, timing: timing)
        let ask = NodeMessage.ask(
            session: 1, .random(), from: User.test("alice"), to: .test("bob"), Payload(bytes: [1])!)
        #expect(sender.send(ask, now: now).isEmpty == (stage == .dialing) && sender.waitingMessages == 2)
        for _ in 0..<100 { #expect(sender.send(ask, now: now).isEmpty && sender.waitingMessages == 2) }
        // All else is as it was.
        _ = sender.send(LinkSamples.message(2), now: now)
        #expect(sender.waitingMessages == 3)
        var bytes = LinkTiming()
        bytes.unackedBytes = 4
        var full = Self.sender(.idle, timing: bytes)
        #expect(full.send(ask, now: now).contains { $0.isLoss })
    }

    @Test(arguments: Stage.allCases) func everyEventInEveryState(stage: Stage) {
        let first = Self.first
        var sender = Self.sender(stage)
        let sent = sender.send(LinkSamples.message(2), now: now)
        switch stage {
        case .idle: #expect(sent == [.resolve(attempt: 1)])
        case .open: #expect(sent.map(\.frame) == [.message(seq: 2, LinkSamples.message(2))])
        case .resolving, .dialing, .greeting, .pausing: #expect(sent == [])
        }

        sender = Self.sender(stage)
        #expect(sender.resolved(nil, attempt: 1) == (stage == .resolving ? [.lost(.unknown)] : []))
        sender = Self.sender(stage)
        #expect(sender.resolved(LinkSamples.addressB, attempt: 7) == [])

        sender = Self.sender(stage)
        let connected = sender.connected(first, now: now)
        #expect(stage == .dialing ? connected.count == 1 : connected == [.close(first)])

        sender = Self.sender(stage)
        #expect(
            sender.dialFailed(first, refused: true, now: now)
                == (stage == .dialing ? [.close(first), .lost(.refused)] : []))

        sender = Self.sender(stage)
        let broken = sender.disconnected(first, silence: .zero, now: now)
        #expect(broken == [])
        #expect(Self.isPausing(sender) == [.dialing, .greeting, .open, .pausing].contains(stage))

        sender = Self.sender(stage)
        #expect(sender.malformed(first, now: now) == ([.greeting, .open].contains(stage) ? [.reject(first)] : []))

        sender = Self.sender(stage)
        let ended = sender.end()
        #expect(ended == ([.dialing, .greeting, .open].contains(stage) ? [.close(first)] : []))
        #expect(sender.state == .idle)
        #expect(sender.waitingMessages == 0)
        #expect(sender.deadline == nil)
    }

    @Test(arguments: Stage.allCases) func everyFrameInEveryState(stage: Stage) {
        let frames: [LinkFrame] = [
            Self.welcome(0), Self.welcome(1), Self.welcome(2), Self.welcome(nil), Self.welcome(0, node: LinkSamples.a),
            Self.welcome(0, incarnation: LinkSamples.incarnation(9)), .ack(0), .ack(1), .ack(2),
            .message(seq: 1, LinkSamples.message(1)),
        ]
        let expected: [[LinkAction]] =
            switch stage {
            case .idle, .resolving, .dialing, .pausing: frames.map { _ in [] }
            case .open: frames.map { $0 == .ack(1) ? [] : [.reject(Self.first)] }
            case .greeting:
                [
                    [
                        .write(
                            (try? LinkCodec.encode(.message(seq: 1, LinkSamples.message(1)))) ?? ByteBuffer(),
                            Self.first)
                    ],
                    [], [.reject(Self.first)], [.close(Self.first), .lost(.released)], [.reject(Self.first)],
                    [.close(Self.first), .lost(.replaced)],
                ] + Array(repeating: [.reject(Self.first)], count: 4)
            }
        for (frame, actions) in zip(frames, expected) {
            var sender = Self.sender(stage)
            #expect(sender.received(frame, on: Self.first, now: now) == actions, "\(frame)")
            var other = Self.sender(stage)
            #expect(other.received(frame, on: .outbound(99), now: now) == [])
        }
    }

    @Test(arguments: Stage.allCases) func presenceIsAHint(stage: Stage) {
        var sender = Self.sender(stage)
        #expect(sender.presenceGone(LinkSamples.incarnation(9)) == [])
        let actions = sender.presenceGone(LinkSamples.endB.incarnation)
        #expect(actions.contains(.lost(.gone)) == [.dialing, .greeting, .pausing].contains(stage))
    }

    @Test(arguments: Stage.allCases) func aNodeThatIsNotReachedInTimeIsLost(stage: Stage) {
        var sender = Self.sender(stage)
        let timing = LinkTiming()
        let late = sender.timerFired(now: now + timing.loss)
        #expect(late.contains(.lost(.unreachable)) == ![.idle, .open].contains(stage))
        #expect(
            Self.sender(stage).timerFired(early: now + timing.loss - .nanoseconds(1)).contains(where: \.isLoss) == false
        )
    }

    @Test func theGreetingHasADeadline() {
        var sender = Self.sender(.greeting)
        #expect(sender.deadline == now + Defaults.Link.greeting)
        #expect(sender.timerFired(now: now + Defaults.Link.greeting) == [.close(Self.first)])
        #expect(Self.isPausing(sender))
    }

    @Test func unacknowledgedMessagesAreSentAgainOnTheNextConnection() throws {
        var sender = Self.sender(.open)
        for number in 2...5 { _ = sender.send(LinkSamples.message(UInt64(number)), now: now) }
        #expect(sender.received(.ack(2), on: Self.first, now: now) == [])
        let later = now + .seconds(10)
        #expect(
            sender.disconnected(Self.first, silence: .zero, now: later)
                == [.dial(LinkSamples.addressB, .outbound(2))])
        #expect(sender.connected(.outbound(2), now: later).count == 1)
        // The acknowledgement of 3 was lost with the connection.
        let again = sender.received(Self.welcome(3), on: .outbound(2), now: later)
        #expect(again.map(\.frame) == [4, 5].map { .message(seq: $0, LinkSamples.message($0)) })
        #expect(sender.waitingMessages == 2)
        #expect(sender.deadline == nil)
    }

    @Test func aWelcomeBelowWhatWasAcknowledgedIsRejected() {
        var sender = Self.sender(.open)
        #expect(sender.received(.ack(1), on: Self.first, now: now) == [])
        let later = now + .seconds(10)
        _ = sender.disconnected(Self.first, silence: .zero, now: later)
        _ = sender.connected(.outbound(2), now: later)
        #expect(sender.received(Self.welcome(0), on: .outbound(2), now: later) == [.reject(.outbound(2))])
    }

    @Test func pausesGrowAndEnd() {
        var sender = Self.sender(.dialing)
        var (time, pauses) = (now, [TimeAmount]())
        for number in 1...UInt64(6) {
            #expect(sender.dialFailed(.outbound(number), refused: false, now: time) == [])
            guard case .pausing(_, let until) = sender.state else { break }
            pauses.append(until - time)
            time = until
            #expect(sender.timerFired(now: time) == [.dial(LinkSamples.addressB, .outbound(number + 1))])
        }
        #expect(pauses == [50, 100, 200, 400, 800, 1000].map { .milliseconds($0) })
    }

    @Test func aConnectionThatLivedLongIsDialledAgainAtOnceAndAShortOneIsNot() {
        var sender = Self.sender(.open)
        #expect(sender.disconnected(Self.first, silence: .zero, now: now + .milliseconds(10)) == [])
        #expect(Self.isPausing(sender))
        sender = Self.sender(.open)
        #expect(sender.disconnected(Self.first, silence: .zero, now: now + .seconds(1)).count == 1)
        #expect(sender.deadline == now + .seconds(1) + Defaults.Link.loss)
    }

    @Test func silenceCountsAsNotReached() {
        var sender = Self.sender(.open)
        _ = sender.disconnected(Self.first, silence: .seconds(3), now: now + .seconds(10))
        #expect(sender.deadline == now + .seconds(10 - 3) + Defaults.Link.loss)
    }

    @Test func tooManyOrTooLargeMessagesLoseTheNode() {
        for timing in [LinkTiming(unackedMessages: 3), LinkTiming(unackedBytes: 3 * 75)] {
            var sender = Self.sender(.open, timing: timing)
            var actions: [LinkAction] = []
            for number in 2...4 where !actions.contains(where: \.isLoss) {
                actions = sender.send(LinkSamples.message(UInt64(number)), now: now)
            }
            #expect(actions == [.close(Self.first), .lost(.overflow)])
            // The next one begins anew.
            #expect(sender.send(LinkSamples.message(9), now: now).count == 1)
            #expect(sender.association == 2)
            #expect(sender.waitingMessages == 1)
        }
    }

    @Test func acknowledgedMessagesMakeRoom() {
        var sender = Self.sender(.open, timing: LinkTiming(unackedMessages: 2))
        for number in 2...UInt64(50) {
            #expect(sender.send(LinkSamples.message(number), now: now).count == 1)
            #expect(sender.received(.ack(number - 1), on: Self.first, now: now) == [])
        }
    }
}

extension LinkSender {
    /// What a timer would do, without its being done.
    fileprivate func timerFired(early now: NIODeadline) -> [LinkAction] {
        var copy = self
        return copy.timerFired(now: now)
    }
}
