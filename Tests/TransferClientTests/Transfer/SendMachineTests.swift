// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import TransferClient
import WSProtocol

@Suite struct SendMachineTests {
    typealias Samples = TransferSamples
    typealias Machine = SendMachine
    typealias Step = @Sendable (inout Machine) -> [Machine.Action]

    static let delivered = Machine.Outcome.delivered(Samples.payload)

    static let begin: Step = { $0.begin(now: Samples.start) }
    static let offered: Step = { $0.offered(.ringing) }
    static let started: Step = { $0.started(token: Samples.token, url: "/upload", payload: Samples.other) }
    static let finished: Step = { $0.uploadFinished(.finished, now: Samples.start) }
    static let broken: Step = { $0.uploadFinished(.broken(.cut), now: Samples.start) }
    static let unreadable: Step = { $0.uploadFinished(.unreadable(.sourceChanged), now: Samples.start) }
    static let confirmed: Step = { $0.delivered(Samples.payload, now: Samples.start) }
    static let failed: Step = { $0.failed(.noSpace, by: .peer) }
    static let refused: Step = { $0.refused(.unknownPeer) }
    static let cancelled: Step = { $0.cancelledByUser() }
    static let timedOut: Step = { $0.timedOut() }
    static let lost: Step = { $0.connectionLost() }
    static let late: Step = { $0.deadlinePassed(now: Samples.after(100_000)) }
    static let early: Step = { $0.deadlinePassed(now: Samples.start) }

    static func machine(after steps: [Step] = []) throws -> Machine {
        var machine = Machine(offer: try #require(Samples.offer), cancelID: Samples.requestIDs[1])
        for step in steps { _ = step(&machine) }
        return machine
    }

    static func cancel(_ code: FailureCode) -> Machine.Action {
        .send(.cancel(.init(id: Samples.requestIDs[1], transfer: Samples.transfer, code: code)))
    }

    @Test func deliveryAfterTheUploadsEnd() throws {
        var machine = try Self.machine()
        #expect(machine.begin(now: Samples.start) == [.send(.offer(try #require(Samples.offer)))])
        #expect(machine.deadline == Samples.after(30))
        #expect(machine.offered(.waiting) == [.show(.waiting)])
        #expect(machine.deadline == nil)
        #expect(machine.offered(.ringing) == [.show(.ringing)])
        #expect(machine.offered(.accepted) == [.show(.accepted)])
        #expect(
            machine.started(token: Samples.token, url: "/upload", payload: Samples.other) == [
                .startUpload(token: Samples.token, url: "/upload", payload: Samples.other)
            ])
        #expect(machine.uploadFinished(.finished, now: Samples.after(60)) == [])
        #expect(machine.deadline == Samples.after(660))
        #expect(machine.delivered(Samples.payload, now: Samples.after(61)) == [.report(Self.delivered)])
        #expect(machine.deadline == nil)
        #expect(Self.lost(&machine) == [])
    }

    @Test func deliveryBeforeTheUploadsEnd() throws {
        for end in [Machine.UploadResult.finished, .broken(.cut)] {
            var machine = try Self.machine(after: [Self.begin, Self.started])
            #expect(machine.delivered(Samples.payload, now: Samples.start) == [])
            #expect(machine.uploadFinished(end, now: Samples.start) == [.report(Self.delivered)])
        }
    }

    @Test func deliveryOfWhatWasNotSentIsNone() throws {
        var machine = try Self.machine(after: [Self.begin, Self.started, Self.confirmed])
        #expect(Self.unreadable(&machine) == [.report(.unreadable)])
        var early = try Self.machine(after: [Self.begin, Self.offered])
        #expect(Self.confirmed(&early) == [.report(.failed(.protocolError, by: .peer))])
    }

    @Test func theUploadsEndAloneIsNoDelivery() throws {
        var machine = try Self.machine(after: [Self.begin, Self.started, Self.finished])
        #expect(machine.deadlinePassed(now: Samples.after(599)) == [])
        #expect(machine.deadlinePassed(now: Samples.after(600)) == [.report(.unanswered)])
    }

    @Test func reasonOfABrokenUploadIsWaitedFor() throws {
        var machine = try Self.machine(after: [Self.begin, Self.started, Self.broken])
        #expect(machine.deadline == Samples.after(2))
        #expect(Self.failed(&machine) == [.report(.failed(.noSpace, by: .peer))])
        var unexplained = try Self.machine(after: [Self.begin, Self.started])
        let refusal = StreamFailure.refused(status: 403, code: nil)
        #expect(unexplained.uploadFinished(.broken(refusal), now: Samples.start) == [])
        #expect(
            unexplained.deadlinePassed(now: Samples.after(2)) == [Self.cancel(.senderGone), .report(.broken(refusal))])
    }

    @Test func theOtherSideHearsWhyThisOneEnds() throws {
        for (step, code): (Step, FailureCode) in [
            (Self.cancelled, .cancelled), (Self.timedOut, .timedOut), (Self.unreadable, .sourceChanged),
            ({ $0.uploadFinished(.unreadable(.cannotRead), now: Samples.start) }, .cannotRead),
            // The relay's own words are not for a client to say.
            ({ $0.uploadFinished(.unreadable(.stalled), now: Samples.start) }, .cannotRead),
        ] {
            var machine = try Self.machine(after: [Self.begin, Self.started])
            #expect(step(&machine).first == Self.cancel(code), "\(code)")
        }
    }

    @Test func messagesOfOtherTransfersDoNothing() throws {
        let other = TransferID.random()
        let id = Samples.requestIDs[3]
        let messages: [ServerMessage] = [
            .offered(.init(id: id, transfer: other, state: .ringing)),
            .start(.init(id: id, transfer: other, role: .upload, token: Samples.token, url: "/", expires: 1)),
            .start(
                .init(id: id, transfer: Samples.transfer, role: .download, token: Samples.token, url: "/", expires: 1)),
            .delivered(.init(id: id, transfer: other, payload: Samples.payload)),
            .failed(.init(id: id, transfer: other, code: .expired, by: .relay)),
            .error(.init(id: id, code: .notNow, message: "")), .ok(.init(id: id)), .pong(.init(id: id)),
        ]
        for message in messages {
            var machine = try Self.machine(after: [Self.begin])
            let before = machine
            #expect(machine.received(message, now: Samples.start) == [])
            #expect(machine == before)
        }
    }

    @Test func messagesOfThisTransferAreItsEvents() throws {
        let offer = try #require(Samples.offer)
        let start = ServerMessage.Start(
            id: offer.id, transfer: offer.transfer, role: .upload, token: Samples.token, url: "/u", expires: 60
        )
        var machine = try Self.machine(after: [Self.begin])
        let ringing = ServerMessage.offered(.init(id: offer.id, transfer: offer.transfer, state: .ringing))
        #expect(machine.received(ringing, now: Samples.start) == [.show(.ringing)])
        #expect(
            machine.received(.start(start), now: Samples.start) == [
                .startUpload(token: Samples.token, url: "/u", payload: nil)
            ])
        _ = Self.finished(&machine)
        let word = ServerMessage.delivered(.init(id: offer.id, transfer: offer.transfer, payload: Samples.payload))
        #expect(machine.received(word, now: Samples.start) == [.report(Self.delivered)])

        var refused = try Self.machine(after: [Self.begin])
        let error = ServerMessage.error(.init(id: offer.id, code: .peerOffline, message: ""))
        #expect(refused.received(error, now: Samples.start) == [.report(.refused(.peerOffline))])
        var ended = try Self.machine(after: [Self.begin])
        let end = ServerMessage.failed(.init(id: offer.id, transfer: offer.transfer, code: .expired, by: .relay))
        #expect(ended.received(end, now: Samples.start) == [.report(.failed(.expired, by: .relay))])
    }

    // MARK: - Every cell

    static let events: [(name: String, run: Step)] = [
        ("begin", begin), ("offered", offered), ("started", started), ("finished", finished), ("broken", broken),
        ("unreadable", unreadable), ("delivered", confirmed), ("failed", failed), ("refused", refused),
        ("cancelled", cancelled), ("timed out", timedOut), ("lost", lost), ("late", late), ("early", early),
    ]

    static let states: [(name: String, steps: [Step], cells: String)] = [
        ("idle", [], "offer - - - - - - - - !cancelled !timedOut !lost - -"),
        (
            "offering", [begin],
            "- show upload - - - !failed !failed !refused cancel!cancelled cancel!timedOut !lost !unanswered -"
        ),
        (
            "offered", [begin, offered],
            "- show upload - - - !failed !failed - cancel!cancelled cancel!timedOut !lost - -"
        ),
        (
            "uploading", [begin, started],
            "- - - - - cancel!unreadable - cut!failed - cancel,cut!cancelled cancel,cut!timedOut cut!lost - -"
        ),
        (
            "uploaded", [begin, started, finished],
            "- - - - - - !delivered !failed - cancel!cancelled cancel!timedOut !lost !unanswered -"
        ),
        (
            "confirmed", [begin, started, confirmed],
            "- - - !delivered !delivered !unreadable - - - cut!delivered cut!delivered cut!delivered cut!delivered -"
        ),
        (
            "broken", [begin, started, broken],
            "- - - - - - !delivered !failed - cancel!cancelled cancel!timedOut !broken cancel!broken -"
        ),
        ("finished", [begin, lost], "- - - - - - - - - - - - - -"),
    ]

    @Test func everyCellOfStateAndEvent() throws {
        for state in Self.states {
            let cells = state.cells.split(separator: " ").map(String.init)
            #expect(cells.count == Self.events.count)
            for (event, cell) in zip(Self.events, cells) {
                var machine = try Self.machine(after: state.steps)
                #expect(Self.text(event.run(&machine)) == cell, "\(state.name) × \(event.name)")
            }
        }
    }

    @Test func anySequenceIsReportedOnceAndEndsWithTheConnection() throws {
        var generator = SeededGenerator(seed: 21)
        for _ in 0..<3000 {
            var machine = try Self.machine()
            var actions: [Machine.Action] = []
            for _ in 0..<12 { actions += Self.events.randomElement(using: &generator)?.run(&machine) ?? [] }
            actions += machine.connectionLost()
            let last = try #require(actions.last)
            #expect(Self.text([last]).hasPrefix("!"))
            #expect(actions.filter { Self.text([$0]).hasPrefix("!") }.count == 1)
            #expect(machine.deadline == nil)
            #expect(Self.failed(&machine) == [])
        }
    }

    /// `cancel,cut!failed`: the actions before the report, and the outcome behind the exclamation mark.
    static func text(_ actions: [Machine.Action]) -> String {
        var names: [String] = []
        var outcome = ""
        for action in actions {
            switch action {
            case .send(let message): names.append(message.kind.rawValue)
            case .show: names.append("show")
            case .startUpload: names.append("upload")
            case .cutStream: names.append("cut")
            case .report(let report):
                switch report {
                case .delivered: outcome = "!delivered"
                case .refused: outcome = "!refused"
                case .failed: outcome = "!failed"
                case .broken: outcome = "!broken"
                case .unreadable: outcome = "!unreadable"
                case .cancelled: outcome = "!cancelled"
                case .timedOut: outcome = "!timedOut"
                case .unanswered: outcome = "!unanswered"
                case .connectionLost: outcome = "!lost"
                }
            }
        }
        return actions.isEmpty ? "-" : names.joined(separator: ",") + outcome
    }
}
