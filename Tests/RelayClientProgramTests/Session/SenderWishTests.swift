// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What a receiver says about the files that it wants.
@Suite(.timeLimit(.minutes(5))) struct SenderWishTests {
    private let files: SentFiles

    init() throws { files = try SentFiles() }

    private func tree(_ name: String = "file") throws -> SourceTree { try files.tree(name) }

    @Test func notesArePassedToTheUpload() async throws {
        let notes = [
            WantedNote(runs: [.init(skip: 1, take: 1)], isLast: false),
            WantedNote(runs: [.init(skip: 0, take: 1)], isLast: true),
        ]
        let relay = FakeRelay { offered in
            FakeRelay.acceptance(of: offered).dropLast() + [offered.start(Acceptance(wantsByNote: true))]
                + offered.notes(notes)
        }
        let tree = try files.scan([try files.folder(of: [1, 2, 3, 4])])
        let sending = try SessionFixture.sending([tree], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.done)])
        #expect(relay.wanted == notes)
        // Only what is wanted counts: two of four files.
        #expect(try sending.lines().contains { $0.contains("\"event\":\"delivered\"") && $0.contains("\"bytes\":5") })
    }

    /// Lost, repeated or out of order.
    @Test(arguments: [[1], [0, 0], [1, 0]]) func aNoteThatDoesNotOpenEndsIt(_ order: [Int]) async throws {
        try await expectProtocolError { offered in
            let start = offered.start(Acceptance(wantsByNote: true))
            let note = WantedNote(runs: [], isLast: false)
            let notes = offered.notes([note, note])
            return [start] + order.map { notes[$0] }
        }
    }

    /// Of more files than there are, of none, behind the last one, and where none were announced.
    @Test(arguments: 0..<4) func aNoteThatMakesNoSenseEndsIt(_ number: Int) async throws {
        try await expectProtocolError { offered in
            let start = offered.start(Acceptance(wantsByNote: number != 3))
            let all = WantedNote(runs: [.init(skip: 0, take: 1)], isLast: false)
            let notes: [[WantedNote]] = [
                [.init(runs: [.init(skip: 1, take: 1)], isLast: true)],
                [.init(runs: [.init(skip: 0, take: 0)], isLast: true)], [all, all],
                [.init(runs: [.init(skip: 0, take: 1)], isLast: true)],
            ]
            return [start] + offered.notes(notes[number])
        }
    }

    @Test func aNoteBeforeTheStreamEndsIt() async throws {
        try await expectProtocolError { offered in
            _ = offered.start(Acceptance(wantsByNote: true))
            return offered.notes([WantedNote(runs: [.init(skip: 0, take: 1)], isLast: true)])
        }
    }

    /// What the receiver of one file says instead of a `start` ends the transfer.
    private func expectProtocolError(_ says: @escaping @Sendable (FakeRelay.Offered) -> [ServerMessage]) async throws {
        let relay = FakeRelay { FakeRelay.acceptance(of: $0).dropLast() + says($0) }
        let sending = try SessionFixture.sending([try tree()], over: relay)
        await sending.runToEnd()
        #expect(sending.endings == [.status(.protocolBreach)])
        #expect(relay.cancels.map(\.code) == [.protocolError] && relay.offers.count == 1)
    }
}
