// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// What a stranger may call a file: it ends up in the folder, under a name that can be shown.
struct HostileNameTests {
    static let names = [
        "", ".", "..", "/", "//", "../../etc/passwd", "/etc/passwd", "a/b", "..\\..\\boot.ini", "~root", "-rf",
        "--help",
        "name with spaces", "two\nlines", "tab\there", "bell\u{7}", "nul\0inside", "\u{1b}]0;title\u{7}", "\u{1b}[2J",
        "c1\u{9b}31m", "rtl\u{202e}gpj.exe", "marks\u{200f}\u{200e}\u{61c}", "isolate\u{2066}x\u{2069}",
        "separator\u{2028}\u{2029}", "zero\u{200b}width", "bom\u{feff}", "tag\u{e0041}", ".bashrc", ".ssh", "...",
        "emoji 👩‍👩‍👧 ❤️.png", "Ünïcödé é.txt", "日本語.txt", "שלום.txt", "\"quoted\" $(touch x) `y`;.sh", "con.part",
        String(repeating: "a", count: 255), String(repeating: "b", count: 251) + ".pdf",
        String(repeating: "c", count: 4000) + ".pdf", String(repeating: "é", count: 300),
        String(repeating: "👩‍👩‍👧", count: 40) + ".jpg", "e" + String(repeating: "\u{301}", count: 500),
        "x." + String(repeating: "y", count: 300), String(repeating: ".", count: 300),
        String(repeating: "/", count: 300), String(repeating: "\u{1b}", count: 32_768),
    ]

    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    /// Receives `content` as `name`, and returns where it is.
    private func receive(_ name: String, _ content: String) throws -> String {
        let tree = try SentTree.file(name, Array(content.utf8))
        let parts = ReceivedParts(directory: folder.directory, options: ReceivedOptions())
        let sink = try parts.open(try tree.offer)
        try CarryingAttempt(tree: tree).carry(into: sink)
        let stored = try sink.finish()
        sink.confirmed()
        return stored.path
    }

    /// Peers' mistakes 1 (leaving the folder), 3 (raw names on the terminal) and 5 (refusing after the prompt). What is
    /// no name of the format is in no offer.
    @Test(arguments: names) func everyNameBecomesOneVisibleFileInsideTheFolder(_ name: String) throws {
        guard EntryName.fault(Array(name.utf8)) == nil else {
            let summary = OfferSummary(names: [name], entries: 1, bytes: 1, kind: .file)
            #expect(summary.encoded == nil)
            return
        }
        let first = try receive(name, "first")
        let second = try receive(name, "second")
        #expect(try folder.content(first) == "first")
        #expect(try folder.content(second) == "second")
        let listing = try folder.listing()
        #expect(listing.count == 2)
        #expect(Set(listing.map { folder.path + "/" + $0 }) == [first, second])
        for made in listing {
            #expect(made.utf8.count <= 255)
            #expect(!made.hasPrefix("."))
            #expect(!made.unicodeScalars.contains(where: DisplayName.isDangerous))
        }
        #expect(try folder.outsideListing().isEmpty)
        #expect(
            Set(try FileManager.default.contentsOfDirectory(atPath: folder.temporary.path)) == ["inbox", "outside"])
        let shown = DisplayName.escape(name)
        #expect(!shown.unicodeScalars.contains(where: DisplayName.isDangerous))
        #expect(TextWidth.columns(of: shown) <= Defaults.displayedNameColumns)
    }

    @Test(arguments: [
        "report.pdf", "name with spaces", "-rf", "emoji 👩‍👩‍👧 ❤️.png", "Ünïcödé é.txt", "日本語.txt", "שלום.txt", "a\\b", "x.",
        "می‌خواهم.txt", String(repeating: "a", count: 255),
    ])
    func harmlessNamesStayAsTheyAre(_ name: String) {
        #expect(Array(SafeFileName(offered: name).text.utf8) == Array(name.utf8))
    }

    @Test func theUnsafePartsAreReplacedOneByOne() {
        #expect(SafeFileName(offered: "../../etc/passwd").text == "_._.._etc_passwd")
        #expect(SafeFileName(offered: "two\nlines\u{202e}").text == "two_lines_")
        #expect(SafeFileName(offered: ".bashrc").text == "_bashrc")
        #expect(SafeFileName(offered: "").text == "unnamed")
    }

    @Test func numbersAndCutsKeepTheExtension() {
        #expect(SafeFileName(offered: "report.pdf").numbered(1) == "report (1).pdf")
        #expect(SafeFileName(offered: "all.tar.gz").numbered(12) == "all (12).tar.gz")
        #expect(SafeFileName(offered: "README").numbered(1) == "README (1)")
        #expect(SafeFileName(offered: "v1.2 final").numbered(1) == "v1.2 final (1)")
        let long = SafeFileName(offered: String(repeating: "é", count: 200) + ".pdf")
        #expect(long.text == String(repeating: "é", count: 125) + ".pdf")
        #expect(long.numbered(1) == String(repeating: "é", count: 123) + " (1).pdf")
        let families = SafeFileName(offered: String(repeating: "👩‍👩‍👧", count: 20)).text
        #expect(families == String(repeating: "👩‍👩‍👧", count: 14))
    }

    @Test func shortNamesOfTheFileSystemAreRespected() {
        let name = SafeFileName(offered: String(repeating: "a", count: 255) + ".pdf", maximumLength: 143)
        #expect(name.text.utf8.count == 143)
        #expect(name.numbered(10).utf8.count == 143)
    }
}
