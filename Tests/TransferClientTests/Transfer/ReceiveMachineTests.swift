// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import TransferClient
import WSProtocol

@Suite struct ReceiveMachineTests {
    typealias Samples = TransferSamples
    typealias Machine = ReceiveMachine
    typealias Step = @Sendable (inout Machine) -> [Machine.Action]

    static let accept: Step = { $0.decided(.accept(Samples.other), now: Samples.start) }
    static let decline: Step = { $0.decided(.decline(.tooLarge), now: Samples.start) }
    static let started: Step = { $0.started(token: Samples.token, url: "/download") }
    static let downloaded: Step = { $0.downloadFinished() }
    static let broken: Step = { $0.downloadFailed(.cut, now: Samples.start) }
    static let stored: Step = { $0.stored(Samples.payload, now: Samples.start) }
    static let unstored: Step = { $0.storeFailed(.noSpace) }
    static let acknowledged: Step = { $0.acknowledged() }
    static let refused: Step = { $0.refused(.unknownTransfer) }
    static let failed: Step = { $0.failed(.senderGone, by: .relay) }
    static let ended: Step = { $0.failed(.timedOut, by: .peer) }
    static let cancelled: Step = { $0.cancelledByUser() }
    static let lost: Step = { $0.connectionLost() }
    static let late: Step = { $0.deadlinePassed(now: Samples.after(100_000)) }
    static let early: Step = { $0.deadlinePassed(now: Samples.start) }

    static func machine(after steps: [Step] = []) throws -> Machine {
        var machine = Machine(
            ring: try #require(Samples.ring), answerID: Samples.requestIDs[1], conclusionID: Samples.requestIDs[2]
        )
        for step in steps { _ = step(&machine) }
        return machine
    }

    static func cancel(_ code: FailureCode) -> Machine.Action {
        .send(.cancel(.init(id: Samples.requestIDs[2], transfer: Samples.transfer, code: code)))
    }

    @Test func wholeTransfer() throws {
        var machine = try Self.machine()
        #expect(machine.deadline == nil)
        #expect(
            Self.accept(&machine) == [
                .send(.accept(.init(id: Samples.requestIDs[1], transfer: Samples.transfer, payload: Samples.other)))
            ])
        #expect(machine.deadline == Samples.after(30))
        #expect(Self.started(&machine) == [.startDownload(token: Samples.token, url: "/download")])
        #expect(machine.deadline == nil)
        #expect(Self.downloaded(&machine) == [])
        #expect(
            Self.stored(&machine) == [
                .send(
                    .delivered(.init(id: Samples.requestIDs[2], transfer: Samples.transfer, payload: Samples.payload)))
            ])
        #expect(Self.acknowledged(&machine) == [.report(.received(isConfirmed: true))])
        #expect(machine.deadline == nil)
        #expect(Self.lost(&machine) == [])
    }

    @Test func decliningSaysWhy() throws {
        var machine = try Self.machine()
        let id = Samples.requestIDs[1]
        #expect(
            Self.decline(&machine) == [
                .send(.decline(.init(id: id, transfer: Samples.transfer, code: .tooLarge))),
                .report(.declined(.tooLarge)),
            ])
        // A relay's code is not the client's to say.
        var wrong = try Self.machine()
        #expect(
            wrong.decided(.decline(.internalError), now: Samples.start) == [
                .send(.decline(.init(id: id, transfer: Samples.transfer, code: .declined))),
                .report(.declined(.declined)),
            ])
    }

    @Test func badContentIsToldAndCut() throws {
        var machine = try Self.machine(after: [Self.accept, Self.started])
        #expect(
            machine.storeFailed(.verificationFailed) == [
                Self.cancel(.verificationFailed), .cutStream, .report(.notStored(.verificationFailed)),
            ])
        var wrong = try Self.machine(after: [Self.accept, Self.started, Self.downloaded])
        #expect(
            wrong.storeFailed(.stalled) == [Self.cancel(.cannotWrite), .report(.notStored(.cannotWrite))])
    }

    @Test func whatIsStoredStaysReceivedWhateverComes() throws {
        for step in [Self.refused, Self.failed, Self.cancelled, Self.lost, Self.late] {
            var machine = try Self.machine(after: [Self.accept, Self.started, Self.downloaded, Self.stored])
            #expect(step(&machine) == [.report(.received(isConfirmed: false))])
        }
        for step in [Self.failed, Self.lost] {
            var machine = try Self.machine(after: [Self.accept, Self.started, Self.downloaded])
            #expect(step(&machine) == [], "the sender comes again, and is told that it is here")
            #expect(Self.stored(&machine) == [.report(.received(isConfirmed: false))])
        }
    }

    @Test func whatIsAbandonedEndsForTheFirstReason() throws {
        var machine = try Self.machine(after: [Self.accept, Self.started, Self.downloaded])
        #expect(Self.cancelled(&machine) == [Self.cancel(.cancelled), .abandon])
        #expect(Self.lost(&machine) == [])
        #expect(Self.unstored(&machine) == [.report(.cancelled)])
        var ended = try Self.machine(after: [Self.accept, Self.started, Self.downloaded])
        #expect(Self.ended(&ended) == [.abandon])
        #expect(Self.unstored(&ended) == [.report(.failed(.timedOut, by: .peer))])
        var lost = try Self.machine(after: [Self.accept, Self.started, Self.downloaded, Self.lost])
        #expect(Self.unstored(&lost) == [.report(.connectionLost)])
    }

    @Test func reasonOfABrokenDownloadIsWaitedFor() throws {
        var machine = try Self.machine(after: [Self.accept, Self.started, Self.broken])
        #expect(machine.deadline == Samples.after(2))
        #expect(Self.failed(&machine) == [.report(.failed(.senderGone, by: .relay))])
        var unexplained = try Self.machine(after: [Self.accept, Self.started, Self.broken])
        #expect(Self.late(&unexplained) == [Self.cancel(.receiverGone), .report(.broken(.cut))])
    }

    @Test func messagesAreItsEvents() throws {
        let transfer = Samples.transfer
        let ids = Samples.requestIDs
        let start = ServerMessage.start(
            .init(id: ids[1], transfer: transfer, role: .download, token: Samples.token, url: "/d", expires: 60)
        )
        var machine = try Self.machine(after: [Self.accept])
        #expect(machine.received(start) == [.startDownload(token: Samples.token, url: "/d")])
        _ = Self.downloaded(&machine)
        _ = Self.stored(&machine)
        #expect(machine.received(.ok(.init(id: ids[1]))) == [])
        #expect(machine.received(.ok(.init(id: ids[2]))) == [.report(.received(isConfirmed: true))])

        var refused = try Self.machine(after: [Self.accept])
        let error = ServerMessage.error(.init(id: ids[1], code: .unknownTransfer, message: ""))
        #expect(refused.received(error) == [.report(.refused(.unknownTransfer))])
        var elsewhere = try Self.machine()
        let failed = ServerMessage.failed(
            .init(id: ids[3], transfer: transfer, code: .acceptedElsewhere, by: .relay)
        )
        #expect(elsewhere.received(failed) == [.report(.failed(.acceptedElsewhere, by: .relay))])
        var other = try Self.machine(after: [Self.accept])
        let foreign = ServerMessage.failed(.init(id: ids[3], transfer: .random(), code: .expired, by: .relay))
        #expect(other.received(foreign) == [])
        #expect(other.received(.error(.init(id: ids[3], code: .notNow, message: ""))) == [])
    }

    // MARK: - Every cell

    static let events: [(name: String, run: Step)] = [
        ("accept", accept), ("decline", decline), ("started", started), ("downloaded", downloaded), ("broken", broken),
        ("stored", stored), ("unstored", unstored), ("acknowledged", acknowledged), ("refused", refused),
        ("failed", failed), ("ended", ended), ("cancelled", cancelled), ("lost", lost), ("late", late),
        ("early", early),
    ]

    static let states: [(name: String, steps: [Step], cells: String)] = [
        ("deciding", [], "accept decline!declined - - - - - - - !failed !failed decline!cancelled !lost - -"),
        (
            "accepting", [accept],
            "- - download - - - - - !refused !failed !failed cancel!cancelled !lost !unanswered -"
        ),
        (
            "downloading", [accept, started],
            "- - - - - - cancel,cut!notStored - - drain!failed cut!failed cancel,cut!cancelled drain!lost - -"
        ),
        (
            "storing", [accept, started, downloaded],
            "- - - - - delivered cancel!notStored - - - abandon cancel,abandon - - -"
        ),
        (
            "storing for the next try", [accept, started, downloaded, failed],
            "- - - - - !received? !failed - - - - abandon - - -"
        ),
        (
            "abandoning", [accept, started, downloaded, ended],
            "- - - - - !received? !failed - - - - - - - -"
        ),
        (
            "reporting", [accept, started, downloaded, stored],
            "- - - - - - - !received !received? !received? !received? !received? !received? !received? -"
        ),
        (
            "broken", [accept, started, broken],
            "- - - - - - - - - !failed !failed cancel!cancelled !broken cancel!broken -"
        ),
        ("finished", [lost], "- - - - - - - - - - - - - - -"),
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
        var generator = SeededGenerator(seed: 22)
        for _ in 0..<3000 {
            var machine = try Self.machine()
            var actions: [Machine.Action] = []
            for _ in 0..<12 { actions += Self.events.randomElement(using: &generator)?.run(&machine) ?? [] }
            actions += machine.connectionLost() + machine.storeFailed(.cannotWrite)
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
            case .startDownload: names.append("download")
            case .cutStream: names.append("cut")
            case .drainStream: names.append("drain")
            case .abandon: names.append("abandon")
            case .report(let report):
                switch report {
                case .received(let isConfirmed): outcome = isConfirmed ? "!received" : "!received?"
                case .declined: outcome = "!declined"
                case .refused: outcome = "!refused"
                case .failed: outcome = "!failed"
                case .notStored: outcome = "!notStored"
                case .broken: outcome = "!broken"
                case .cancelled: outcome = "!cancelled"
                case .unanswered: outcome = "!unanswered"
                case .connectionLost: outcome = "!lost"
                }
            }
        }
        return actions.isEmpty ? "-" : names.joined(separator: ",") + outcome
    }
}
