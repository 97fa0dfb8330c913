// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import RelayServerProgram

@Suite("What top shows")
struct TopTests {
    private static let id = TransferID.random()

    private static let bob = PeerName(rawValue: "bob")!

    private static func top(uptime: Int64, bytes: UInt64, count: Int = 1) -> ServerTop {
        var figures = StatusFigures()
        (figures.bytesToReceivers, figures.bytesToNodes, figures.sessions) = (bytes, 0, 10_000)
        return ServerTop(
            node: "n1", state: .serving, uptime: uptime, figures: figures,
            transfers: [.init(transfer: id, state: "streaming", age: 75, node: "n2", bytes: bytes)]
                + (1..<count).map { _ in .init(transfer: .random(), state: "waiting") },
            sessions: (0..<count).map { number in
                .init(
                    session: "n1-\(number)", name: bob, receiving: true,
                    sharing: false, transfers: 1, age: 3700)
            })
    }

    @Test("rates are those between two looks, and none after a start")
    func rates() {
        var rates = TopRates()
        #expect(rates.rated(Self.top(uptime: 1000, bytes: 500)).rate == nil)
        let second = rates.rated(Self.top(uptime: 3000, bytes: 4500))
        #expect(second.rate == 2000)
        #expect(second.transfers.first?.rate == 2000)
        #expect(rates.rated(Self.top(uptime: 10, bytes: 9_000_000)).rate == nil)
        #expect(rates.rated(Self.top(uptime: 1010, bytes: 3)).rate == 0, "what counts less was begun again")
        #expect(rates.rated(Self.top(uptime: 1011, bytes: .max)).rate ?? 0 > 0)
    }

    @Test("never more lines and columns than there are, and sessions have a third", arguments: [1, 5, 10, 40])
    func room(_ rows: Int) {
        let lines = TopTable(rows: rows, columns: 60).lines(Self.top(uptime: 1000, bytes: 1, count: 300))
        #expect(lines.count == rows)
        #expect(lines.allSatisfy { $0.count <= 60 })
        #expect(lines.first?.hasPrefix("relay-server n1  serving  up 1s") == true)
        if rows == 40 { #expect(lines.count { $0.hasPrefix("n1-") } == (40 - 8) / 3) }
    }

    @Test("a line has all that is known of a transfer")
    func line() {
        var rates = TopRates()
        _ = rates.rated(Self.top(uptime: 0, bytes: 0))
        let lines = TopTable(rows: 40, columns: 200).lines(rates.rated(Self.top(uptime: 1000, bytes: 2_500_000)))
        let line = lines.first { $0.hasPrefix(Self.id.rawValue) }
        #expect(
            line?.split(separator: " ").dropFirst().joined(separator: " ")
                == "- - streaming 2.5 MB 2.5 MB/s 1m15s n2")
        let session = lines.first { $0.hasPrefix("n1-0") }
        #expect(session?.split(separator: " ").joined(separator: " ") == "n1-0 bob files 1 1h1m")
    }

    @Test(
        "sizes and times are short",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_999, "99.9 kB"), (123_456, "123 kB"),
            (UInt64.max, "18.4 EB"),
        ])
    func sizes(_ bytes: UInt64, _ text: String) {
        #expect(TopTable.size(bytes) == text)
    }
}
