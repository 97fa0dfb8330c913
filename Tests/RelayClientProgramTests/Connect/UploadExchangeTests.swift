// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

@Suite struct UploadExchangeTests {
    /// An exchange in each of its states.
    private static let states: [(name: String, exchange: UploadExchange)] = {
        var sending = UploadExchange(length: nil)
        _ = sending.continued()
        var sent = sending
        _ = sent.bodyEnded()
        var over = sending
        _ = over.connectionClosed()
        return [
            ("awaitingContinue", UploadExchange(length: nil)), ("sending", sending), ("sent", sent), ("over", over),
        ]
    }()

    private static let good = HTTPResponse(status: 200, bytes: 7)
    private static let bad = HTTPResponse(status: 502, code: .receiverGone)

    @Test func everyCellOfStateAndEvent() {
        var cells: [String: [String]] = [:]
        for (name, exchange) in Self.states {
            var row: [String] = []
            var copy = exchange
            row.append("\(copy.continued())")
            copy = exchange
            row.append("\(copy.bodyOffered(bytes: 1))".prefix { $0 != "(" }.description)
            copy = exchange
            row.append("\(copy.bodyEnded())".prefix { $0 != "(" }.description)
            copy = exchange
            row.append(Self.short(copy.answered(Self.good)))
            copy = exchange
            row.append(Self.short(copy.answered(Self.bad)))
            copy = exchange
            row.append(Self.short(copy.connectionClosed()))
            copy = exchange
            row.append(Self.short(copy.answerOverdue()))
            cells[name] = row
        }
        #expect(
            cells == [
                // continued, bodyOffered, bodyEnded, 200, 502, connectionClosed, answerOverdue
                "awaitingContinue": ["startBody", "misuse", "misuse", "refused", "refused", "cut", "nothing"],
                "sending": ["nothing", "write", "write", "refused", "refused", "cut", "nothing"],
                "sent": ["nothing", "misuse", "misuse", "accepted", "refused", "cut", "silent"],
                "over": ["nothing", "refuse", "refuse", "nothing", "nothing", "nothing", "nothing"],
            ]
        )
    }

    @Test func keepsWhatTheRelaySaid() {
        var exchange = UploadExchange(length: nil)
        _ = exchange.continued()
        #expect(exchange.answered(Self.bad) == .report(.refused(Self.bad)))
        #expect(exchange.bodyOffered(bytes: 1) == .refuse(.refused(Self.bad)))
        var other = UploadExchange(length: nil)
        _ = other.continued()
        _ = other.bodyEnded()
        #expect(other.answered(Self.good) == .report(.accepted(bytes: 7)))
    }

    /// Found with real transfers: the relay counts, and need not wait for us to say that this was all.
    @Test func regressionAnswerBetweenTheLastByteAndTheEnd() {
        var exchange = UploadExchange(length: 10)
        _ = exchange.continued()
        #expect(exchange.bodyOffered(bytes: 4) == .write)
        var early = exchange
        #expect(early.answered(Self.good) == .report(.refused(Self.good)))
        #expect(exchange.bodyOffered(bytes: 7) == .misuse)
        #expect(exchange.bodyOffered(bytes: 6) == .write)
        #expect(exchange.answered(Self.good) == .report(.accepted(bytes: 7)))
        #expect(exchange.bodyEnded() == .refuse(.accepted(bytes: 7)))
        #expect(exchange.connectionClosed() == .nothing)
    }

    private static func short(_ action: UploadExchange.EndAction) -> String {
        switch action {
        case .nothing: "nothing"
        case .report(.accepted): "accepted"
        case .report(.refused): "refused"
        case .report(.cut): "cut"
        case .report(.silent): "silent"
        }
    }
}
