// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

private let alice = SessionID(node: .alone, number: 1)
private let bob = SessionID(node: .alone, number: 2)
private let carol = SessionID(node: .alone, number: 3)
private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
private let late = start + .hours(1)
private let timing = TransferTiming(
    ring: .seconds(600), claim: .seconds(60), attach: .seconds(30), delivery: .seconds(600), straggler: .seconds(10),
    explanation: .milliseconds(500), progress: .milliseconds(250)
)

private func id(_ text: String) throws -> RequestID { try #require(RequestID(rawValue: text)) }
private func payload(_ text: String) throws -> Payload { try #require(Payload(bytes: Array(text.utf8))) }

/// The states of a transfer from alice, which bob is rung for and takes.
private enum Stage: String, CaseIterable {
    case waiting, ringing, accepted, parked, streaming, confirmed, streamed, ended, broken

    func transfer(wait: Bool = true) throws -> RelayedTransfer {
        let offer = ClientMessage.Offer(
            id: try id("offer"), transfer: .random(), to: try #require(PeerName(rawValue: "bob")), wait: wait,
            payload: try payload("offer")
        )
        let receivers = self == .waiting ? [] : [bob]
        var (transfer, _) = RelayedTransfer.offered(
            offer, by: alice, named: try #require(PeerName(rawValue: "alice")), ringing: receivers, timing: timing,
            now: start)
        if self == .waiting || self == .ringing { return transfer }
        _ = transfer.accepted(by: bob, request: try id("accept"), payload: try payload("accept"), now: start)
        if self == .accepted { return transfer }
        _ = transfer.downloadParked(now: start)
        if self == .parked { return transfer }
        _ = transfer.streamJoined()
        switch self {
        case .confirmed:
            _ = transfer.delivered(by: bob, request: try id("d"), payload: try payload("done"), now: start)
        case .streamed: _ = transfer.streamFinished(now: start)
        case .ended: _ = transfer.streamCut(.stalled, now: start)
        case .broken: _ = transfer.streamCut(.receiverGone, now: start)
        case .waiting, .ringing, .accepted, .parked, .streaming: break
        }
        return transfer
    }
}

private func summary(_ state: RelayedTransfer.State) -> String {
    switch state {
    case .waiting: "waiting"
    case .ringing: "ringing"
    case .accepted: "accepted"
    case .parked: "parked"
    case .streaming: "streaming"
    case .confirmed: "confirmed"
    case .streamed: "streamed"
    case .broken: "broken"
    case .ended: "ended"
    }
}

private func summary(_ action: TransferAction) -> String {
    switch action {
    case .answer: "ok"
    case .refuse(_, _, let code): "refuse:\(code.rawValue)"
    case .tellOffered(let state): "offered:\(state.rawValue)"
    case .ring: "ring"
    case .startDownload: "download"
    case .startUpload: "upload"
    case .tellProgress: "progress"
    case .tellNote: "note"
    case .noteToReceiver: "receiver:note"
    case .tellDelivered: "delivered"
    case .failSender(let code, let party): "sender:\(code.rawValue):\(party.rawValue)"
    case .failReceiver(_, let code, let party): "receiver:\(code.rawValue):\(party.rawValue)"
    case .endStream(.failed(let code)): "abort:\(code.rawValue)"
    case .endStream(.delivered): "close"
    case .end(.delivered): "end"
    case .end(.failed(let code)): "end:\(code.rawValue)"
    }
}

private enum Event: String, CaseIterable {
    case receiving, senderReceiving, accept, acceptByStranger, decline, declineByStranger, cancelBySender,
        cancelByReceiver
    case noteBySender, noteByReceiver, noteByStranger, cancelByStranger, progress, progressByStranger, delivered,
        deliveredByStranger, senderClosed, receiverClosed
    case strangerClosed, parked, joined, finished, cut, deadline, tooEarly

    func happen(to transfer: inout RelayedTransfer) throws -> [TransferAction] {
        let request = try id("x")
        let content = try payload("x")
        return switch self {
        case .receiving: transfer.sessionReceiving(carol, now: start)
        case .senderReceiving: transfer.sessionReceiving(alice, now: start)
        case .accept: transfer.accepted(by: bob, request: request, payload: content, now: start)
        case .acceptByStranger: transfer.accepted(by: carol, request: request, payload: content, now: start)
        case .decline: transfer.declined(by: bob, request: request, code: .noSpace)
        case .declineByStranger: transfer.declined(by: carol, request: request, code: .noSpace)
        case .cancelBySender: transfer.cancelled(by: alice, request: request, code: .cannotRead)
        case .cancelByReceiver: transfer.cancelled(by: bob, request: request, code: .noSpace)
        case .cancelByStranger: transfer.cancelled(by: carol, request: request, code: .noSpace)
        case .progress: transfer.progressed(by: bob, bytes: 7, now: start)
        case .progressByStranger: transfer.progressed(by: carol, bytes: 7, now: start)
        case .noteBySender: transfer.noted(by: alice, request: request, payload: content)
        case .noteByReceiver: transfer.noted(by: bob, request: request, payload: content)
        case .noteByStranger: transfer.noted(by: carol, request: request, payload: content)
        case .delivered: transfer.delivered(by: bob, request: request, payload: content, now: start)
        case .deliveredByStranger: transfer.delivered(by: alice, request: request, payload: content, now: start)
        case .senderClosed: transfer.sessionClosed(alice)
        case .receiverClosed: transfer.sessionClosed(bob)
        case .strangerClosed: transfer.sessionClosed(carol)
        case .parked: transfer.downloadParked(now: start)
        case .joined: transfer.streamJoined()
        case .finished: transfer.streamFinished(now: start)
        case .cut: transfer.streamCut(.stalled, now: start)
        case .deadline: transfer.deadlinePassed(now: late)
        case .tooEarly: transfer.deadlinePassed(now: start)
        }
    }

    /// For each state in the order of `Stage`: the actions, then the new state. `-` is nothing at all, `?` is
    /// unknown_transfer.
    var row: [String] {
        let gone = "receiver:sender_gone:relay abort:sender_gone end:sender_gone > ended"
        let lost = "sender:receiver_gone:relay abort:receiver_gone end:receiver_gone > ended"
        let stalled = "sender:stalled:relay receiver:stalled:relay abort:stalled end:stalled > ended"
        let expired = "sender:expired:relay receiver:expired:relay abort:expired end:expired > ended"
        let called = "ok receiver:cannot_read:peer abort:cannot_read end:cannot_read > ended"
        let refused = "ok sender:no_space:peer abort:no_space end:no_space > ended"
        let declined = "ok sender:no_space:peer end:no_space > ended"
        let left = "receiver:receiver_gone:relay abort:receiver_gone end:receiver_gone > ended"
        let unexplained =
            "sender:receiver_gone:relay receiver:receiver_gone:relay abort:receiver_gone end:receiver_gone > ended"
        return switch self {
        case .receiving: ["offered:ringing ring > ringing", "ring > ringing", "-", "-", "-", "-", "-", "-", "-"]
        case .senderReceiving: ["-", "-", "-", "-", "-", "-", "-", "-", "-"]
        case .accept: ["?", "download offered:accepted > accepted", "?", "?", "?", "?", "?", "?", "?"]
        case .acceptByStranger: ["?", "?", "?", "?", "?", "?", "?", "?", "?"]
        case .decline: ["?", declined, "?", "?", "?", "?", "?", "?", "?"]
        case .declineByStranger: ["?", "?", "?", "?", "?", "?", "?", "?", "?"]
        case .cancelBySender:
            [
                "ok end:cannot_read > ended", "ok receiver:cannot_read:peer end:cannot_read > ended", called, called,
                called, "?", called, "?", called,
            ]
        case .cancelByReceiver: ["?", declined, refused, refused, refused, "?", refused, "?", refused]
        case .cancelByStranger: ["?", "?", "?", "?", "?", "?", "?", "?", "?"]
        case .progress:
            [
                "-", "-", "progress > accepted", "progress > parked", "progress > streaming", "progress > confirmed",
                "progress > streamed", "-", "-",
            ]
        case .noteBySender:
            [
                "?", "?", "receiver:note > accepted", "receiver:note > parked", "receiver:note > streaming",
                "receiver:note > confirmed", "receiver:note > streamed", "?", "receiver:note > broken",
            ]
        case .noteByReceiver:
            [
                "?", "?", "note > accepted", "note > parked", "note > streaming", "note > confirmed",
                "note > streamed", "?", "note > broken",
            ]
        case .noteByStranger: ["?", "?", "?", "?", "?", "?", "?", "?", "?"]
        case .progressByStranger: ["-", "-", "-", "-", "-", "-", "-", "-", "-"]
        case .delivered:
            [
                "?", "?", "ok delivered close end > ended", "ok > confirmed", "ok > confirmed", "?",
                "ok delivered end > ended", "?", "ok delivered close end > ended",
            ]
        case .deliveredByStranger: ["?", "?", "?", "?", "?", "?", "?", "?", "?"]
        case .senderClosed:
            [
                "end:sender_gone > ended", "receiver:sender_gone:relay end:sender_gone > ended", gone, gone, gone,
                "close end > ended", gone, "-", left,
            ]
        case .receiverClosed:
            [
                "-", "offered:waiting > waiting", lost, lost, lost, "delivered close end > ended", lost,
                "-", lost,
            ]
        case .strangerClosed: ["-", "-", "-", "-", "-", "-", "-", "-", "-"]
        case .parked: ["-", "-", "upload > parked", "-", "-", "-", "-", "-", "-"]
        case .joined: ["-", "-", "-", "> streaming", "-", "-", "-", "-", "-"]
        case .finished: ["-", "-", "-", "> streamed", "> streamed", "delivered end > ended", "-", "-", "-"]
        case .cut: ["-", "-", stalled, stalled, stalled, "delivered close end > ended", "-", "-", "-"]
        case .deadline:
            [
                "-", "sender:expired:relay receiver:expired:relay end:expired > ended", expired, expired, "-",
                "delivered close end > ended", expired, "-", unexplained,
            ]
        case .tooEarly: ["-", "-", "-", "-", "-", "-", "-", "-", "-"]
        }
    }
}

@Suite struct RelayedTransferTests {
    @Test(arguments: Event.allCases)
    private func everyCellOfTheTable(_ event: Event) throws {
        for (stage, expected) in zip(Stage.allCases, event.row) {
            var transfer = try stage.transfer()
            #expect(summary(transfer.state) == stage.rawValue)
            let actions = try event.happen(to: &transfer).map(summary).joined(separator: " ")
            let outcome =
                switch (actions, summary(transfer.state)) {
                case ("", stage.rawValue): "-"
                case ("refuse:unknown_transfer", stage.rawValue): "?"
                case ("", let state): "> \(state)"
                case (let actions, let state): "\(actions) > \(state)"
                }
            #expect(outcome == expected, "\(event) in \(stage)")
        }
        #expect(event.row.count == Stage.allCases.count)
    }

    @Test func theFirstAcceptWinsAndTheOthersAreTold() throws {
        var transfer = try Stage.ringing.transfer()
        #expect(transfer.sessionReceiving(carol, now: start).map(summary) == ["ring"])
        #expect(transfer.sessionReceiving(carol, now: start).isEmpty, "a session is rung once")
        let actions = transfer.accepted(by: carol, request: try id("x"), payload: try payload("x"), now: start)
        #expect(
            actions == [
                .startDownload(carol, try id("x")), .tellOffered(.accepted),
                .failReceiver(bob, .acceptedElsewhere, by: .relay),
            ]
        )
        #expect(transfer.receiver == carol)
        let second = transfer.accepted(by: bob, request: try id("y"), payload: try payload("y"), now: start)
        #expect(second == [.refuse(bob, try id("y"), .unknownTransfer)])
    }

    @Test func everyRungSessionHasToDecline() throws {
        var transfer = try Stage.ringing.transfer()
        _ = transfer.sessionReceiving(carol, now: start)
        #expect(transfer.declined(by: bob, request: try id("x"), code: .declined).map(summary) == ["ok"])
        #expect(
            transfer.declined(by: bob, request: try id("y"), code: .declined).map(summary) == [
                "refuse:unknown_transfer"
            ])
        let accept = transfer.accepted(by: bob, request: try id("z"), payload: try payload("x"), now: start)
        #expect(accept.map(summary) == ["refuse:unknown_transfer"], "who declined cannot accept")
        let last = transfer.declined(by: carol, request: try id("w"), code: .noSpace)
        #expect(last.map(summary) == ["ok", "sender:no_space:peer", "end:no_space"])
    }

    @Test func aDeclineCountsWhenTheOthersVanish() throws {
        var transfer = try Stage.ringing.transfer()
        _ = transfer.sessionReceiving(carol, now: start)
        _ = transfer.declined(by: bob, request: try id("x"), code: .declined)
        #expect(transfer.sessionClosed(carol).map(summary) == ["sender:declined:peer", "end:declined"])
    }

    @Test func anOfferThatDoesNotWaitEndsWithTheLastReceiver() throws {
        var transfer = try Stage.ringing.transfer(wait: false)
        #expect(transfer.sessionClosed(bob).map(summary) == ["sender:peer_offline:relay", "end:peer_offline"])
    }

    @Test("A half that other nodes have not heard of is lost by the cluster, and by neither client")
    func aHiddenHalfIsLostByTheCluster() throws {
        var parked = try Stage.parked.transfer()
        _ = parked.tokenStaysHidden()
        let (closed, cancelled, joined, other) = (parked, parked, parked, parked)
        var transfer = closed
        #expect(transfer.sessionClosed(alice).map(summary).first == "receiver:cluster_unavailable:relay")
        transfer = cancelled
        let request = try id("c")
        #expect(
            transfer.cancelled(by: alice, request: request, code: .senderGone).map(summary).dropFirst().first
                == "receiver:cluster_unavailable:relay")
        // What the client says on purpose, and what the other client does, is theirs.
        transfer = other
        #expect(
            transfer.cancelled(by: alice, request: request, code: .cancelled).map(summary).dropFirst().first
                == "receiver:cancelled:peer")
        transfer = other
        #expect(transfer.sessionClosed(bob).map(summary).first == "sender:receiver_gone:relay")
        // It was heard of after all.
        transfer = joined
        _ = transfer.streamJoined()
        #expect(transfer.sessionClosed(alice).map(summary).first == "receiver:sender_gone:relay")

        var accepted = try Stage.accepted.transfer()
        _ = accepted.tokenStaysHidden()
        #expect(accepted.sessionClosed(bob).map(summary).first == "sender:cluster_unavailable:relay")
    }

    @Test func aReceiverWhoseNodeCannotBeReachedIsNotReportedAsOffline() throws {
        var transfer = try Stage.ringing.transfer(wait: false)
        let lost = transfer.sessionClosed(bob, .nodeLost)
        #expect(lost.map(summary) == ["sender:cluster_unavailable:relay", "end:cluster_unavailable"])
    }

    @Test func aClientOfAStoppingNodeIsNotReportedAsGone() throws {
        var ringing = try Stage.ringing.transfer(wait: false)
        #expect(
            ringing.sessionClosed(bob, .nodeStopping).map(summary) == ["sender:draining:relay", "end:draining"])
        var accepted = try Stage.accepted.transfer()
        #expect(accepted.sessionClosed(bob, .nodeStopping).contains(.failSender(.draining, by: .relay)))
        // The client lets go of its stream, which is seen before the session is missed.
        var streaming = try Stage.streaming.transfer()
        _ = streaming.streamCut(.receiverGone, now: start)
        #expect(streaming.sessionClosed(bob, .nodeStopping).contains(.failSender(.draining, by: .relay)))
    }

    @Test(
        "A sender whose node goes has not gone, in any state",
        arguments: [Stage.ringing, .accepted, .parked, .streaming, .streamed])
    fileprivate func aSenderOfALostNodeIsNotReportedAsGone(_ stage: Stage) throws {
        for (why, code) in [(SessionEnd.nodeStopping, FailureCode.draining), (.nodeLost, .clusterUnavailable)] {
            var transfer = try stage.transfer()
            let actions = transfer.sessionClosed(alice, why)
            #expect(actions.contains(.failReceiver(bob, code, by: .relay)))
            #expect(actions.last == .end(.failed(code)))
        }
    }

    @Test func aSessionThatDeclinedIsNotToldThatTheTransferIsOver() throws {
        var transfer = try Stage.ringing.transfer()
        _ = transfer.sessionReceiving(carol, now: start)
        _ = transfer.declined(by: bob, request: try id("x"), code: .declined)
        #expect(
            transfer.deadlinePassed(now: late) == [
                .failSender(.expired, by: .relay), .failReceiver(carol, .expired, by: .relay), .end(.failed(.expired)),
            ]
        )
    }

    @Test func deliveredMayComeBeforeTheStreamsEnd() throws {
        var transfer = try Stage.streaming.transfer()
        let done = try payload("done")
        #expect(transfer.delivered(by: bob, request: try id("d"), payload: done, now: start).map(summary) == ["ok"])
        #expect(transfer.streamFinished(now: start) == [.tellDelivered(done), .end(.delivered)])
    }

    /// The node of the receiver only sees that the stream ends; that of the sender has seen why.
    @Test func aMalformedBodyReplacesTheReasonOfTheCut() throws {
        for stage in [Stage.parked, .streaming, .broken] {
            var transfer = try stage.transfer()
            let actions = transfer.streamCut(.malformedBody, now: start)
            #expect(actions.contains(.failSender(.malformedBody, by: .relay)), "\(stage)")
            #expect(actions.contains(.failReceiver(bob, .malformedBody, by: .relay)), "\(stage)")
            #expect(transfer.state == .ended, "\(stage)")
        }
    }

    @Test func progressIsPassedOnFourTimesASecond() throws {
        var transfer = try Stage.streaming.transfer()
        var passed = 0
        for step in 0..<1000 {
            passed += transfer.progressed(by: bob, bytes: 1, now: start + .milliseconds(Int64(step))).count
        }
        #expect(passed == 4)
    }

    @Test func deadlinesAreThoseOfTheProtocol() throws {
        let expected: [Stage: TimeAmount?] = [
            .waiting: nil, .ringing: .seconds(600), .accepted: .seconds(60), .parked: .seconds(30), .streaming: nil,
            .confirmed: .seconds(10), .streamed: .seconds(600), .ended: nil,
            .broken: .milliseconds(500),
        ]
        for stage in Stage.allCases {
            #expect(try stage.transfer().deadline == expected[stage].flatMap { $0 }.map { start + $0 }, "\(stage)")
        }
    }

    @Test func payloadsAreKeptOnlyWhileTheyAreNeeded() throws {
        let held = try Stage.allCases.filter { try $0.transfer().heldBytes > 0 }
        #expect(held == [.waiting, .ringing, .accepted, .confirmed])
    }
}
