// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import NIOCore
import Sealing
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct TransferTextTests {
    private let alice: PeerName
    private let fingerprint: Fingerprint
    private let transfer: TransferID

    init() throws {
        alice = try #require(PeerName(rawValue: "alice"))
        fingerprint = Fingerprint(of: try #require(SigningKey(bytes: [UInt8](0..<32))))
        transfer = try #require(TransferID(bytes: [UInt8](repeating: 7, count: 16)))
    }

    private func label(_ summary: OfferSummary) -> TransferLabel {
        TransferLabel(transfer: transfer, direction: .receive, peer: alice, summary: summary)
    }

    private static func names(_ count: Int) -> [String] { (0..<count).map { "n\($0)" } }

    @Test(arguments: [
        (OfferSummary(names: ["report.pdf"], entries: 1, bytes: 42_800_000, kind: .file), "\"report.pdf\" (42.8 MB)"),
        (OfferSummary(names: ["report.pdf"], kind: .file), "\"report.pdf\""),
        (OfferSummary(names: ["stdin"], kind: .stream), "\"stdin\""),
        (
            OfferSummary(names: ["photos"], entries: 1_235, bytes: 5_200_000_000, kind: .folder),
            "\"photos\" (folder, 1,234 items, 5.20 GB)"
        ),
        (OfferSummary(names: ["p"], entries: 2, bytes: 7, kind: .folder), "\"p\" (folder, 1 item, 7 B)"),
        (OfferSummary(names: ["p"], entries: 1, bytes: 0, kind: .folder), "\"p\" (folder, empty, 0 B)"),
        (OfferSummary(names: ["p"], entries: 0, kind: .folder), "\"p\" (folder, empty)"),
        (OfferSummary(names: ["p"], kind: .folder), "\"p\" (folder)"),
        (
            OfferSummary(names: ["a", "b"], entries: 2, bytes: 42_000, kind: .several),
            "\"a\" and 1 other (2 items, 42.0 kB)"
        ),
        (
            OfferSummary(names: names(7), entries: .max, bytes: .max, kind: .several),
            "\"n0\" and 6 others (18,446,744,073,709,551,615 items, 18.4 EB)"
        ),
        (OfferSummary(names: names(8), entries: 8, bytes: 1, kind: .several), "\"n0\" and others (8 items, 1 B)"),
        // What a stranger's client may say.
        (OfferSummary(names: [], entries: 3, kind: .several), "\"\" and others (3 items)"),
        (OfferSummary(names: [], kind: .file), "\"\""),
    ])
    func anOfferIsDescribedByNamesKindAndSize(_ summary: OfferSummary, _ text: String) {
        #expect(TransferText.what(label(summary)) == text)
        #expect(TransferText.offer(label(summary)) == "alice offers \(text)")
    }

    @Test func theBytesThatCameStandInPlaceOfThoseAnnounced() {
        let folder = label(OfferSummary(names: ["p"], entries: 3, bytes: 9, kind: .folder))
        #expect(TransferText.what(folder, 4) == "\"p\" (folder, 2 items, 4 B)")
        #expect(TransferText.title(folder) == "p")
        #expect(TransferText.title(label(OfferSummary(names: ["a", "b", "c"], kind: .several))) == "a and 2 others")
    }

    @Test(arguments: [
        (0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (123_456, "123,456"), (1_234_567, "1,234,567"),
    ])
    func counts(_ number: UInt64, _ text: String) { #expect(TransferText.count(number) == text) }

    // MARK: - The question

    private func question(
        _ summary: OfferSummary, _ contact: Contact, _ destination: OfferQuestion.Destination? = nil,
        replaces: [String] = []
    ) -> String {
        OfferQuestion(
            label: label(summary), fingerprint: fingerprint, contact: contact, destination: destination,
            replaces: replaces
        ).text
    }

    @Test func theQuestionSaysWhatIsReplaced() {
        func line(_ kind: OfferSummary.Kind, _ names: [String], _ replaces: [String]) -> String {
            let summary = OfferSummary(names: names, entries: 3, bytes: 1, kind: kind)
            let lines = question(summary, .known(isVerified: true), replaces: replaces).split(separator: "\n")
            return String(lines[lines.count - 2])
        }
        #expect(line(.file, ["a"], ["a"]) == "  \"a\" is there already, and will be replaced")
        #expect(!line(.file, ["a\n"], ["a\n"]).contains("a\n"))
        #expect(
            line(.folder, ["photos"], ["photos"])
                == "  \"photos\" is there already, and files of the same names in it will be replaced")
        #expect(
            line(.several, ["a", "b", "c"], ["a", "c"])
                == "  there already, and replaced where names are the same: \"a\", \"c\"")
        #expect(line(.file, ["a"], []) == "  alice is verified")
    }

    @Test func theLineOfTheEndSaysWhatWasReplaced() {
        func line(_ kind: OfferSummary.Kind, _ replaced: UInt64) -> String? {
            let label = label(OfferSummary(names: ["a"], entries: 2, bytes: 1, kind: kind))
            let report = TransferReport.received(
                label.transfer, path: "/in/a", bytes: 1, sha256: nil, replaced: replaced)
            return ReportText.message(for: report, label: label).map { $0.components(separatedBy: "\"/in/a\"")[1] }
        }
        #expect(line(.file, 0) == "" && line(.folder, 0) == "")
        #expect(line(.file, 1) == ", in the place of the one that was there")
        #expect(line(.folder, 1) == ", in which 1 file was replaced")
        #expect(line(.several, 7) == ", in which 7 files were replaced")
    }

    @Test func theQuestionSaysWhoWhatHowMuchAndWhereTo() {
        let destination = OfferQuestion.Destination(path: "/home/bob/in", free: 120_000_000_000)
        let file = OfferSummary(names: ["report.pdf"], entries: 1, bytes: 42_800_000, kind: .file)
        #expect(
            question(file, .known(isVerified: true), destination) == """
                alice offers "report.pdf" (42.8 MB)
                  alice is verified; 120 GB free in "/home/bob/in"
                Accept?
                """)
        #expect(
            question(file, .known(isVerified: false)) == """
                alice offers "report.pdf" (42.8 MB)
                  alice is known, and not verified yet
                Accept?
                """)
        let sparse = OfferSummary(names: ["disk"], entries: 1, bytes: 1_000_000_000, holes: 999_000_000, kind: .file)
        #expect(
            question(sparse, .known(isVerified: true), destination) == """
                alice offers "disk" (1.00 GB)
                  alice is verified; 120 GB free in "/home/bob/in", of which it takes at least 1.00 MB
                Accept?
                """)
        let several = OfferSummary(names: ["a", "b"], entries: 3, bytes: 42_000, kind: .several)
        #expect(
            question(several, .first, destination) == """
                alice offers "a" and 1 other (3 items, 42.0 kB)
                  "a", "b"
                  first contact with alice, whose fingerprint is \(fingerprint); 120 GB free in "/home/bob/in"
                Accept?
                """)
        let unknown = question(OfferSummary(names: ["stdin"], kind: .stream), .known(isVerified: true))
        #expect(unknown.hasPrefix("alice offers \"stdin\"; its size is not known\n"))
        let many = question(OfferSummary(names: Self.names(8), entries: 99, kind: .several), .first)
        #expect(many.contains("\"n6\", \"n7\" and others\n"))
    }

    /// Peers' mistake 3: names printed raw.
    @Test func noNameBreaksOutOfTheQuestion() {
        let hostile = "a\n\u{1b}[2J\u{202e}" + String(repeating: "x", count: 200)
        for kind in OfferSummary.Kind.allCases {
            let text = question(
                OfferSummary(names: [String](repeating: hostile, count: 7), entries: 9, kind: kind), .first,
                .init(path: "/tmp/" + hostile, free: 1))
            let lines = text.split(separator: "\n")
            #expect(lines.count == (kind == .several ? 4 : 3))
            for line in lines { #expect(!line.unicodeScalars.contains(where: DisplayName.isDangerous)) }
        }
    }

    // MARK: - Programs

    private func json(_ report: TransferReport, after other: TransferReport? = nil) -> String {
        var renderer = JSONRenderer(isVerbose: false, usesStandardError: false)
        let now = NIODeadline.uptimeNanoseconds(1)
        if let other { _ = renderer.render(other, now: now, columns: 80) }
        return renderer.render(report, now: now, columns: 80).standardOutput
    }

    @Test func programsSeeWhatIsCarried() {
        let id = transfer.rawValue
        let folder = OfferSummary(names: ["p"], entries: 3, bytes: 9, kind: .folder)
        #expect(
            json(.offered(label(folder))) == #"{"schema":1,"direction":"receive","entries":3,"#
                + #""event":"offered","kind":"folder","#
                + #""name":"p","peer":"alice","size":9,"transfer":"\#(id)"}"# + "\n")
        let several = OfferSummary(names: ["a", "b"], entries: 2, bytes: 9, kind: .several)
        #expect(
            json(.kept(label(several))) == #"{"schema":1,"direction":"receive","entries":2,"#
                + #""event":"kept","kind":"several","#
                + #""names":["a","b"],"peer":"alice","size":9,"transfer":"\#(id)"}"# + "\n")
        // One file has what it always had.
        let file = label(OfferSummary(names: ["a"], entries: 1, bytes: 9, kind: .file))
        let common = #""name":"a","peer":"alice","size":9,"transfer":"\#(id)"}"# + "\n"
        #expect(json(.started(file)) == #"{"schema":1,"direction":"receive","event":"started","# + common)
        #expect(
            json(.resumed(transfer, bytes: 5), after: .started(file))
                == #"{"schema":1,"bytes":5,"direction":"receive","event":"resumed","# + common)
        #expect(
            json(.firstContact(alice, fingerprint))
                == #"{"schema":1,"event":"first_contact","fingerprint":"\#(fingerprint)","peer":"alice"}"# + "\n")
    }

    @Test func whatWasThereAlreadyDoesNotCountAsSpeed() throws {
        var transfers = ActiveTransfers()
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        _ = transfers.apply(
            .started(label(OfferSummary(names: ["a"], entries: 1, bytes: 4_000_000, kind: .file))), now: start)
        _ = transfers.apply(.resumed(transfer, bytes: 3_000_000), now: start + .milliseconds(500))
        _ = transfers.apply(.progress(transfer, bytes: 3_100_000), now: start + .milliseconds(1_500))
        let line = try #require(transfers.line(now: start + .milliseconds(1_500)))
        #expect(line.bytes == 3_100_000 && line.rate == 100_000)
    }
}
