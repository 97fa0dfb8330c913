// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct RendererTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let id: TransferID
    private let label: TransferLabel
    private let folder: TransferLabel
    private let several: TransferLabel
    private let fingerprint: Fingerprint

    private static let hostile = "a\n\u{1b}[2J\u{202e}.pdf"

    init() throws {
        id = try #require(TransferID(bytes: [UInt8](repeating: 7, count: 16)))
        let bob = try #require(PeerName(rawValue: "bob"))
        label = TransferLabel(transfer: id, direction: .send, peer: bob, name: Self.hostile, size: 2_000_000)
        folder = TransferLabel(
            transfer: id, direction: .receive, peer: bob,
            summary: OfferSummary(names: [Self.hostile], entries: 1_235, bytes: 5_200_000_000, kind: .folder))
        several = TransferLabel(
            transfer: id, direction: .receive, peer: bob,
            summary: OfferSummary(names: [Self.hostile, "b"], entries: 3, bytes: 42_000, kind: .several))
        fingerprint = Fingerprint(of: try #require(SigningKey(bytes: [UInt8](0..<32))))
    }

    private func at(_ milliseconds: Int64) -> NIODeadline { start + .milliseconds(milliseconds) }

    /// One of each.
    private var reports: [TransferReport] {
        [
            .ready(label.peer), .waiting(label), .ringing(label), .offered(label), .started(label),
            .progress(id, bytes: 1_000_000), .verifying(id), .delivered(id, bytes: 2_000_000, sha256: "00"),
            .started(label), .received(id, path: "/tmp/" + Self.hostile, bytes: 2_000_000, sha256: "00"),
            .started(label), .failed(id, code: "no_space", message: "full \u{1b}[2J\n"),
            .failed(nil, code: "unreachable", message: "nobody there\n"),
            .reconnecting(reason: "lost\n", attempt: 1, pause: .milliseconds(1_500)), .reconnected, .notice("n\u{1b}"),
            .warning("w\r"), .detail("d\n"), .started(label), .interrupted(id, message: "cut\u{1b}"),
            .offered(label), .withdrawn(id), .started(label), .resumed(id, bytes: 1_500_000), .kept(label),
            .firstContact(label.peer, fingerprint), .started(folder), .kept(several),
            .kept(label, .unstored), .kept(several, .fetched), .unasked(1), .unasked(1_200),
            .renamed(several.transfer, was: Self.hostile, path: "/tmp/" + Self.hostile), .offered(several),
            .unchanged(several.transfer, path: "/tmp/" + Self.hostile), .started(label), .unchanged(id, path: nil),
        ]
    }

    private var renderers: [any ReportRenderer] {
        [
            PlainRenderer(isVerbose: true), TerminalRenderer(isVerbose: true, isColoured: false), QuietRenderer(),
            JSONRenderer(isVerbose: true, usesStandardError: false),
            JSONRenderer(isVerbose: true, usesStandardError: true),
        ]
    }

    /// Peers' mistake 3: names printed raw.
    @Test func nothingOutsidersSayReachesATerminalRaw() {
        for var renderer in renderers {
            for (index, report) in reports.enumerated() {
                let text = renderer.render(report, now: at(Int64(index) * 20_000), columns: 80)
                for line in (text.standardOutput + text.standardError).split(separator: "\n") {
                    // What the renderer itself draws with.
                    let own = line.replacing("\u{1b}[K", with: "").replacing("\r", with: "").unicodeScalars
                    #expect(!own.contains { scalar in scalar.properties.generalCategory == .control })
                    let isJSON = renderer is JSONRenderer
                    #expect(isJSON || !own.contains(where: DisplayName.isDangerous))
                }
            }
        }
    }

    @Test func plainLinesSayWhatHappens() {
        var renderer = PlainRenderer(isVerbose: false)
        let lines = reports.enumerated().map { index, report in
            renderer.render(report, now: at(Int64(index) * 20_000), columns: 80).standardError
        }
        let name = "\"a\\n\\u{1b}[2J\\u{202e}.pdf\""
        #expect(lines[0] == "ready to receive as bob\n")
        #expect(lines[1] == "bob is not receiving now; waiting to send \(name) (2.00 MB)\n")
        #expect(lines[2] == "ringing bob for \(name) (2.00 MB)\n")
        #expect(lines[3] == "bob offers \(name) (2.00 MB)\n")
        #expect(lines[4] == "bob accepted; sending \(name) (2.00 MB)\n")
        #expect(lines[5].contains("50%"))
        #expect(lines[6] == "bob is verifying \(name)\n")
        #expect(lines[7] == "delivered \(name) (2.00 MB) to bob, SHA-256 00\n")
        #expect(lines[9].hasPrefix("received \(name) (2.00 MB) from bob as \"/tmp/"))
        #expect(lines[11] == "not delivered: \(name) to bob: full \\u{1b}[2J\\u{a}\n")
        #expect(lines[12] == "error: nobody there\\u{a}\n")
        #expect(lines[13] == "reconnecting: lost\\u{a}\n")
        #expect(lines[14] == "reconnected\n")
        #expect(lines[17].isEmpty)
        #expect(lines[19] == "\(name): cut\\u{1b}\n")
        #expect(lines[21] == "the offer of \(name) (2.00 MB) from bob is gone; it may come again\n")
        #expect(lines[23] == "going on with \(name) at 1.50 MB of 2.00 MB\n")
        #expect(lines[24] == "bob keeps what came of \(name); to go on: relay-client transfers resume BwcHBwcH\n")
        #expect(
            lines[25] == "first contact with bob, fingerprint \(fingerprint); compare it with: "
                + "relay-client peers verify bob\n")
        #expect(lines[26] == "receiving from bob \(name) (folder, 1,234 items, 5.20 GB)\n")
        #expect(
            lines[28] == "to go on with \(name) once bob can store it: relay-client transfers resume BwcHBwcH\n")
        #expect(
            lines[29] == "kept what came of \(name) and 1 other; it goes on with the same fetch, or with: "
                + "relay-client transfers resume BwcHBwcH\n")
        #expect(lines[30] == "warning: an offer was refused that no command here had asked for\n")
        #expect(lines[31] == "warning: 1,200 offers were refused that no command here had asked for\n")
        let path = "/tmp/\(name.dropFirst().dropLast())"
        #expect(lines[32] == "\(name) is stored as \"\(path)\"\n")
        let items = "\(name) and 1 other (3 items, 42.0 kB)"
        #expect(lines[34] == "nothing new from bob: every file of \(items) is in \"\(path)\" already\n")
        #expect(lines[36] == "nothing new for bob: every file of \(name) (2.00 MB) was there already\n")
        #expect(
            lines[27] == "kept what came of \(name) and 1 other; it goes on when bob sends it again and receive runs, "
                + "for example with: relay-client transfers resume BwcHBwcH\n")
    }

    @Test func anOutageIsSaidOnceAndDrawnUntilItIsOver() {
        let lost = (1...3).map { TransferReport.reconnecting(reason: "lost", attempt: $0, pause: .seconds(2)) }
        var renderers = self.renderers
        for index in renderers.indices {
            _ = renderers[index].render(.waiting(label), now: start, columns: 80)
            let texts = (lost + [.reconnected, lost[0]]).map { report in
                let text = renderers[index].render(report, now: at(1_000), columns: 80)
                return text.standardOutput + text.standardError
            }
            switch renderers[index] {
            case is QuietRenderer: #expect(texts.joined().isEmpty)
            case is TerminalRenderer:
                #expect(texts[0].contains("reconnecting: lost\n"))
                #expect(texts[1].contains("reconnecting (try 2 in 2 s)") && !texts[1].contains("\n"))
                #expect(texts[2].contains("reconnecting (try 3 in 2 s)"))
                #expect(texts[3].contains("reconnected\n") && texts[3].contains("waiting for bob"))
                let later = renderers[index].tick(now: at(5_000), columns: 80).standardError
                #expect(later.contains("reconnecting (try 1)"))
            default:
                #expect(texts[0].contains("reconnecting") && texts[3].contains("reconnected"))
                #expect(texts[1].isEmpty && texts[2].isEmpty)
                #expect(texts[4].contains("reconnecting"))
            }
        }
    }

    @Test func aFailureBeforeAnythingElseNamesItsFileAndPeer() {
        for var renderer in renderers {
            let first = renderer.render(.introduced(label), now: start, columns: 80)
            #expect((first.standardOutput + first.standardError).isEmpty)
            let text = renderer.render(.failed(id, code: "unknown_peer", message: "x"), now: start, columns: 80)
            let said = text.standardOutput + text.standardError
            #expect(said.contains("bob") && said.contains(".pdf"))
        }
    }

    @Test func anOutageOfOneTransferEndsWithIt() {
        let trying = TransferReport.reconnecting(reason: "lost", attempt: 1, pause: .seconds(2), transfer: id)
        let ends: [TransferReport] = [
            .failed(id, code: "unavailable", message: "x"), .interrupted(id, message: "x"), .withdrawn(id),
            .delivered(id, bytes: 1, sha256: nil), .received(id, path: "-", bytes: 1, sha256: nil),
        ]
        for end in ends {
            var transfers = ActiveTransfers()
            for report in [.ringing(label), trying] { _ = transfers.apply(report, now: start) }
            for other in [TransferReport.verifying(id), .failed(.random(), code: "x", message: "x")] {
                _ = transfers.apply(other, now: start)
                #expect(transfers.outage != nil)
            }
            _ = transfers.apply(end, now: start)
            #expect(transfers.outage == nil, "\(end)")
            // That of the whole relay does not.
            let lost = TransferReport.reconnecting(reason: "lost", attempt: 1, pause: .seconds(2))
            for report in [trying, lost, end] { _ = transfers.apply(report, now: start) }
            #expect(transfers.outage != nil, "\(end)")
        }
    }

    @Test func anUnansweredQuestionKeepsItsLine() {
        var renderer = TerminalRenderer(isVerbose: false, isColoured: false)
        _ = renderer.hold(columns: 80)
        _ = renderer.render(.failed(nil, code: "interrupted", message: "interrupted"), now: start, columns: 80)
        #expect(renderer.finish(columns: 80).standardError == "\nerror: interrupted\n")
    }

    @Test func plainProgressIsRare() {
        var renderer = PlainRenderer(isVerbose: false)
        _ = renderer.render(.started(label), now: start, columns: 80)
        let lines = (1...1_000).map { step in
            renderer.render(.progress(id, bytes: UInt64(step)), now: at(Int64(step) * 100), columns: 80).standardError
        }
        #expect(lines.filter { !$0.isEmpty }.count == 10)
    }

    @Test func jsonIsOneObjectALineWithTheRawName() throws {
        struct Line: Decodable {
            var event: String
            var transfer: String?
            var direction: String?
            var name: String?
            var size: UInt64?
            var bytes: UInt64?
            var code: String?
            var path: String?
            var seconds: Double?
        }
        var renderer = JSONRenderer(isVerbose: true, usesStandardError: false)
        let lines = try reports.enumerated().map { index, report in
            let text = renderer.render(report, now: at(Int64(index) * 1_000), columns: 80)
            #expect(text.standardError.isEmpty)
            #expect(text.standardOutput.last == "\n")
            #expect(text.standardOutput.split(separator: "\n").count == 1)
            return try JSONDecoder().decode(Line.self, from: Data(text.standardOutput.utf8))
        }
        #expect(
            lines.map(\.event) == [
                "ready", "waiting", "ringing", "offered", "started", "progress", "verifying", "delivered", "started",
                "received", "started", "failed", "failed", "reconnecting", "reconnected", "notice", "warning", "detail",
                "started", "interrupted", "offered", "withdrawn", "started", "resumed", "kept", "first_contact",
                "started", "kept", "kept", "kept", "unasked", "unasked", "renamed", "offered", "received", "started",
                "delivered",
            ]
        )
        #expect(lines[0].name == "bob")
        for line in lines[1...11] {
            #expect(line.transfer == id.rawValue)
            #expect(line.direction == "send")
            #expect(line.name == Self.hostile)
            #expect(line.size == 2_000_000)
        }
        #expect(lines[5].bytes == 1_000_000)
        #expect(lines[9].path == "/tmp/" + Self.hostile)
        #expect(lines[11].code == "no_space")
        #expect(lines[12].transfer == nil)
        #expect(lines[13].seconds == 1.5)
    }

    @Test func jsonLineIsExact() {
        var renderer = JSONRenderer(isVerbose: false, usesStandardError: true)
        let plain = TransferLabel(transfer: id, direction: .send, peer: label.peer, name: "a/b.pdf", size: 2_000_000)
        let text = renderer.render(.started(plain), now: start, columns: 80)
        #expect(text.standardOutput.isEmpty)
        #expect(
            text.standardError == #"{"schema":1,"direction":"send","event":"started","name":"a/b.pdf","peer":"bob","#
                + #""size":2000000,"transfer":"\#(id.rawValue)"}"# + "\n"
        )
    }

    @Test func jsonProgressIsLimited() {
        var renderer = JSONRenderer(isVerbose: false, usesStandardError: false)
        _ = renderer.render(.started(label), now: start, columns: 80)
        let lines = (0..<1_000).map { step in
            renderer.render(.progress(id, bytes: UInt64(step)), now: at(Int64(step) * 10), columns: 80).standardOutput
        }
        #expect(lines.filter { !$0.isEmpty }.count == 20)
        // What comes behind the end of a transfer is of none.
        _ = renderer.render(.failed(id, code: "cancelled", message: "x"), now: at(20_000), columns: 80)
        #expect(renderer.render(.progress(id, bytes: 1), now: at(30_000), columns: 80) == RenderedText())
    }

    @Test func quietSaysErrorsOnly() {
        var renderer = QuietRenderer()
        let lines = reports.map { report in renderer.render(report, now: start, columns: 80) }
        #expect(lines.allSatisfy { line in line.standardOutput.isEmpty })
        #expect(lines.filter { !$0.standardError.isEmpty }.count == 2)
    }

    @Test func theTerminalsLineIsDrawnAtMostTenTimesASecond() {
        var renderer = TerminalRenderer(isVerbose: false, isColoured: false)
        _ = renderer.render(.started(label), now: start, columns: 80)
        let texts = (1...10_000).map { step in
            renderer.render(.progress(id, bytes: UInt64(step)), now: at(Int64(step)), columns: 80).standardError
        }
        let drawn = texts.filter { !$0.isEmpty }
        #expect(drawn.count == 100)
        #expect(drawn.allSatisfy { $0.hasPrefix("\r") && $0.hasSuffix("\u{1b}[K") && !$0.contains("\n") })
    }

    @Test(arguments: [1, 2, 20, 80, 300]) func theTerminalsLineFitsAnyWidth(_ columns: Int) {
        var renderer = TerminalRenderer(isVerbose: false, isColoured: false)
        for (index, report) in reports.prefix(7).enumerated() where index > 0 {
            let text = renderer.render(report, now: at(Int64(index) * 1_000), columns: columns).standardError
            #expect(TextWidth.columns(of: String(text.dropFirst().dropLast(3))) <= max(1, columns - 1))
        }
    }

    @Test func messagesArePrintedAboveTheProgressLine() {
        var renderer = TerminalRenderer(isVerbose: false, isColoured: false)
        _ = renderer.render(.ringing(label), now: start, columns: 80)
        let notice = renderer.render(.notice("hello"), now: start, columns: 80).standardError
        #expect(notice.hasPrefix("\r\u{1b}[Khello\n\rringing bob"))
        let end = renderer.render(.delivered(id, bytes: 5, sha256: nil), now: start, columns: 80).standardError
        #expect(end.hasPrefix("\r\u{1b}[Kdelivered "))
        #expect(end.hasSuffix("to bob\n"))
        #expect(renderer.finish(columns: 80).standardError.isEmpty)
    }

    @Test func aQuestionHasTheTerminalForItself() {
        var renderer = TerminalRenderer(isVerbose: false, isColoured: false)
        _ = renderer.render(.ringing(label), now: start, columns: 80)
        #expect(renderer.hold(columns: 80).standardError == "\r\u{1b}[K")
        for step in 0..<10_000 {
            #expect(renderer.render(.notice("hello"), now: at(Int64(step)), columns: 80).standardError.isEmpty)
            #expect(renderer.tick(now: at(Int64(step)), columns: 80).standardError.isEmpty)
        }
        let text = renderer.release(now: at(0), columns: 80).standardError
        #expect(text.hasPrefix("hello\nhello\n"))
        #expect(text.utf8.count < Defaults.maximumHeldBack + 200)
        #expect(text.hasSuffix("\u{1b}[K"))
    }

    @Test func aStallIsSeenWithoutReports() {
        var renderer = TerminalRenderer(isVerbose: false, isColoured: false)
        _ = renderer.render(.started(label), now: start, columns: 80)
        _ = renderer.render(.progress(id, bytes: 1_000_000), now: at(1_000), columns: 80)
        #expect(renderer.tick(now: at(60_000), columns: 80).standardError.contains("  0 B/s"))
        _ = renderer.finish(columns: 80)
        #expect(renderer.tick(now: at(61_000), columns: 80).standardError.isEmpty)
    }

    @Test func everyPhaseHasItsState() throws {
        var transfers = ActiveTransfers()
        let reports: [TransferReport] = [
            .waiting(label), .ringing(label), .started(label), .progress(id, bytes: 1_000_000), .verifying(id),
        ]
        let words = try reports.map { report in
            _ = transfers.apply(report, now: start)
            let text = try #require(transfers.line(now: start)).text(width: 120)
            return text.prefix { $0 != " " }.description
        }
        #expect(words == ["waiting", "ringing", "sending", "sending", "bob"])
        let incoming = TransferLabel(transfer: .random(), direction: .receive, peer: label.peer, name: "x", size: 5)
        transfers = ActiveTransfers()
        _ = transfers.apply(.started(incoming), now: start)
        #expect(try #require(transfers.line(now: start)).text(width: 79).hasPrefix("receiving  x  ["))
    }

    @Test func severalTransfersHaveALineEachWhereThereIsRoom() throws {
        var transfers = ActiveTransfers()
        for number in 1...3 {
            let other = TransferLabel(
                transfer: try #require(TransferID(bytes: [UInt8](repeating: UInt8(number), count: 16))),
                direction: .send, peer: label.peer, name: Self.hostile, size: number == 3 ? .max : 1_000)
            _ = transfers.apply(number == 1 ? .ringing(other) : .started(other), now: start)
            _ = transfers.apply(.progress(other.transfer, bytes: 500), now: start)
        }
        #expect(transfers.lines(now: start, most: 3).map { $0.bytes } == [500, 500, 500])
        // The last is for all of them, the first for one that moves.
        let few = transfers.lines(now: start, most: 2)
        #expect(few.map { $0.bytes } == [500, 1_500] && few[0].activity == "sending" && few[0].total == 1_000)
        #expect(transfers.lines(now: start, most: 1).map(\.title) == ["3 transfers, 1 waiting"])
        let line = try #require(transfers.line(now: start))
        #expect(line.title == "3 transfers, 1 waiting")
        #expect(line.activity == "sending" && line.state == nil)
        #expect(line.bytes == 1_500)
        #expect(line.total == .max)
    }

    /// What a terminal shows after `text`; one whose lines are broken where it is made narrower.
    private struct DrawnScreen {
        var rows: [String] = [""]
        var row = 0
        var column = 0

        mutating func draw(_ text: String) {
            var rest = Substring(text)
            while let scalar = rest.unicodeScalars.first {
                rest.unicodeScalars.removeFirst()
                switch scalar {
                case "\r": column = 0
                case "\n":
                    (row, column) = (row + 1, 0)
                    if rows.count <= row { rows.append("") }
                case "\u{1b}": escape(&rest)
                default:
                    rows[row] =
                        rows[row].padding(toLength: column, withPad: " ", startingAt: 0) + String(scalar)
                        + rows[row].dropFirst(column + 1)
                    column += 1
                }
            }
        }

        private mutating func escape(_ rest: inout Substring) {
            rest.removeFirst()
            let number = Int(rest.prefix { $0.isNumber }) ?? 1
            rest = rest.drop { $0.isNumber }
            switch rest.removeFirst() {
            case "K": rows[row] = String(rows[row].prefix(column))
            case "J":
                rows[row] = String(rows[row].prefix(column))
                rows.removeSubrange((row + 1)...)
            case "A": row -= number
            default: Issue.record("an escape that no line needs")
            }
        }

        /// Breaks what is wider.
        mutating func narrow(to columns: Int) {
            var broken: [String] = []
            for (index, line) in rows.enumerated() {
                var rest = line[...]
                repeat {
                    broken.append(String(rest.prefix(columns)))
                    rest = rest.dropFirst(columns)
                } while !rest.isEmpty
                if index == row { (row, column) = (broken.count - 1, broken.last?.count ?? 0) }
            }
            rows = broken
        }
    }

    private func transfer(_ number: UInt8) throws -> TransferLabel {
        TransferLabel(
            transfer: try #require(TransferID(bytes: [UInt8](repeating: number, count: 16))), direction: .send,
            peer: label.peer, name: "file\(number)", size: 1_000)
    }

    @Test func eachTransferIsDrawnInALineOfItsOwn() throws {
        var (renderer, screen) = (TerminalRenderer(isVerbose: false, isColoured: false), DrawnScreen())
        let labels = try (1...3).map { try transfer($0) }
        func show(_ report: TransferReport, _ time: Int64, columns: Int = 60) {
            screen.draw(renderer.render(report, now: at(time), columns: columns).standardError)
        }
        for each in labels { show(.ringing(each), 0) }
        #expect(screen.rows == ["ringing bob  file1", "ringing bob  file2", "ringing bob  file3"])
        show(.started(labels[1]), 1_000)
        show(.notice("hello"), 1_000)
        #expect(screen.rows.count == 4 && screen.rows[0] == "hello" && screen.rows[3] == "ringing bob  file3")
        #expect(screen.rows[2].hasPrefix("sending  file2  ["))
        show(.delivered(labels[0].transfer, bytes: 1_000, sha256: nil), 2_000)
        #expect(screen.rows[0] == "hello" && screen.rows[1].hasPrefix("delivered \"file1\"") && screen.rows.count == 4)
        // The others come up, and nothing is left of a line that is gone.
        #expect(screen.rows[2].hasPrefix("sending  file2") && screen.rows[3] == "ringing bob  file3")
        screen.draw(renderer.hold(columns: 60).standardError)
        #expect(screen.rows.count == 3 && screen.rows[2].isEmpty)
        screen.draw(renderer.release(now: at(3_000), columns: 60).standardError)
        for each in labels.dropFirst() { show(.delivered(each.transfer, bytes: 1_000, sha256: nil), 4_000) }
        screen.draw(renderer.finish(columns: 60).standardError)
        #expect(screen.rows.count == 5 && screen.rows[4].isEmpty)
    }

    @Test func aTerminalThatIsMadeNarrowerKeepsNothingOfOldLines() throws {
        var (renderer, screen) = (TerminalRenderer(isVerbose: false, isColoured: false), DrawnScreen())
        screen.draw(renderer.render(.notice("stays"), now: start, columns: 70).standardError)
        for each in try (1...3).map({ try transfer($0) }) {
            screen.draw(renderer.render(.started(each), now: start, columns: 70).standardError)
            screen.draw(renderer.render(.progress(each.transfer, bytes: 10), now: at(500), columns: 70).standardError)
        }
        #expect(screen.rows.count == 4 && screen.rows[1].count > 30)
        screen.narrow(to: 20)
        #expect(screen.rows.count > 6)
        screen.draw(renderer.tick(now: at(5_000), columns: 20).standardError)
        #expect(screen.rows.count == 4 && screen.rows[0] == "stays")
        #expect(screen.rows.dropFirst().allSatisfy { $0.count < 20 && $0.hasPrefix("file") }, "\(screen.rows)")
    }

    @Test(arguments: [1, 2, 5, 11, 24, 100]) func asManyLinesAreDrawnAsThereIsRoomFor(_ rows: Int) throws {
        var (renderer, screen) = (TerminalRenderer(isVerbose: false, isColoured: false), DrawnScreen())
        renderer.fit(rows: rows)
        for number in 1...UInt8(40) {
            screen.draw(renderer.render(.started(try transfer(number)), now: start, columns: 70).standardError)
        }
        #expect(screen.rows.count == max(1, min(Defaults.mostProgressLines, rows - 1)))
        #expect(screen.rows.last?.contains("40 transfers") == true)
    }

    @Test func coloursAreForTerminalsOnly() {
        func mode(_ environment: [String: String], json: Bool = false, quiet: Bool = false, terminal: Bool = true)
            -> Reporter.Mode
        {
            Reporter.mode(json: json, quiet: quiet, isTerminal: terminal, environment: environment)
        }
        #expect(mode(["TERM": "xterm"]) == .terminal(isColoured: true))
        #expect(mode(["TERM": "xterm", "NO_COLOR": "1"]) == .terminal(isColoured: false))
        #expect(mode(["TERM": "xterm", "NO_COLOR": ""]) == .terminal(isColoured: true))
        #expect(mode(["TERM": "dumb"]) == .plain)
        #expect(mode([:]) == .plain)
        #expect(mode(["TERM": "xterm"], terminal: false) == .plain)
        #expect(mode(["TERM": "xterm"], json: true, quiet: true) == .json)
        #expect(mode(["TERM": "xterm"], quiet: true) == .quiet)
        var coloured = TerminalRenderer(isVerbose: false, isColoured: true)
        let text = coloured.render(.failed(nil, code: "x", message: "no"), now: start, columns: 80).standardError
        #expect(text == "\u{1b}[31merror: no\u{1b}[0m\n")
    }
}
