// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import RelayClient

@Suite struct UploadExchangeTests {
    /// An exchange in each of its states.
    private static let states: [(name: String, exchange: UploadExchange)] = {
        var sending = UploadExchange()
        _ = sending.continued()
        var sent = sending
        _ = sent.bodyEnded()
        var over = sending
        _ = over.connectionClosed()
        return [("awaitingContinue", UploadExchange()), ("sending", sending), ("sent", sent), ("over", over)]
    }()

    private static let good = HTTPAnswer(status: 200, bytes: 7)
    private static let bad = HTTPAnswer(status: 502, code: .receiverGone)

    @Test func everyCellOfStateAndEvent() {
        var cells: [String: [String]] = [:]
        for (name, exchange) in Self.states {
            var row: [String] = []
            var copy = exchange
            row.append("\(copy.continued())")
            row.append("\(exchange.bodyOffered())".prefix { $0 != "(" }.description)
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
        var exchange = UploadExchange()
        _ = exchange.continued()
        #expect(exchange.answered(Self.bad) == .report(.refused(Self.bad)))
        #expect(exchange.bodyOffered() == .refuse(.refused(Self.bad)))
        var other = UploadExchange()
        _ = other.continued()
        _ = other.bodyEnded()
        #expect(other.answered(Self.good) == .report(.accepted(bytes: 7)))
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
