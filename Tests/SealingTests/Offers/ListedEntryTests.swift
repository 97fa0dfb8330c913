// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import Sealing

@Suite(.timeLimit(.minutes(5))) struct ListingReaderTests {
    private func read(_ text: String) throws -> [ListedEntry] {
        var reader = ListingReader()
        var entries: [ListedEntry] = []
        for byte in text.utf8 { entries += try reader.append([byte]) }
        try reader.finish()
        return entries
    }

    @Test func linesAreEntries() throws {
        let entries = try ["a", "b\u{1b}\"", "日本"].map { name in
            ListedEntry(
                name: try EntryName(Array(name.utf8)), kind: name == "a" ? .file : .folder,
                size: name == "a" ? .max : nil,
                modified: -5)
        }
        #expect(try read(entries.map { String(decoding: $0.line, as: UTF8.self) }.joined()) == entries)
        #expect(try read("").isEmpty)
    }

    @Test(arguments: [
        "{}\n", "\n", #"{"name":"a","type":"folder","modified":1}"#,
        #"{"name":"..","type":"folder","modified":1}"# + "\n",
        #"{"name":"a/b","type":"folder","modified":1}"# + "\n", #"{"name":"a","type":"fifo","modified":1}"# + "\n",
        #"{"name":"a","type":"file","modified":1}"# + "\n",
        #"{"name":"a","type":"folder","size":1,"modified":1}"# + "\n",
        #"{"name":"b","type":"folder","modified":1}"# + "\n" + #"{"name":"a","type":"folder","modified":1}"# + "\n",
        #"{"name":"a","type":"folder","modified":1}"# + "\n" + #"{"name":"a","type":"folder","modified":1}"# + "\n",
        String(repeating: " ", count: 3_000) + #"{"name":"a","type":"folder","modified":1}"# + "\n",
    ])
    func whatIsNoneIsRefused(_ text: String) { #expect(throws: SealingError.malformed(.listing)) { try read(text) } }
}
