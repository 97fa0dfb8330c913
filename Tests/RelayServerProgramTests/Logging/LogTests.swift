// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import RelayTestFixtures
import ServerSystem
import Synchronization
import TestSupport
import Testing

@testable import RelayServerProgram

@Suite("Log lines")
struct LogTests {
    /// Line feeds, a terminal's escape, a change of direction, quotes, an equals sign, a backslash.
    private static let hostile = "a\nb\r\u{1B}[31m\u{202E}\"c\"=\\d\u{2028}\u{0}é"

    private func line(_ format: LogFormat, _ message: String, _ metadata: Logger.Metadata) -> String {
        LogRecord(time: LogTime(seconds: 0, milliseconds: 7), level: .info, message: message, metadata: metadata)
            .line(format)
    }

    @Test("text: one line, sorted, quoted where it has to be")
    func text() {
        #expect(
            line(.text, "listening", ["address": "[::1]:80", "b": "two words", "a": ""])
                == "1970-01-01T00:00:00.007Z info listening a=\"\" address=[::1]:80 b=\"two words\"\n"
        )
        let line = line(.text, Self.hostile, ["k": "\(Self.hostile)"])
        #expect(line.unicodeScalars.filter { $0.properties.generalCategory == .control } == ["\n"])
        #expect(!line.contains("\u{202E}") && !line.contains("\u{2028}"))
        #expect(line.contains(#"k="a\nb\r\u{1b}[31m\u{202e}\"c\"=\\d\u{2028}\u{0}é""#))
    }

    @Test("json: one object, from which everything comes back")
    func json() throws {
        let line = line(.json, Self.hostile, ["k": "\(Self.hostile)", "time": "now", "😀": "\u{E0001}"])
        #expect(line.unicodeScalars.filter { $0.properties.generalCategory == .control } == ["\n"])
        let object = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
        #expect(
            object == [
                "time": "1970-01-01T00:00:00.007Z", "level": "info", "message": Self.hostile, "k": Self.hostile,
                "_time": "now", "😀": "\u{E0001}",
            ]
        )
    }

    @Test("times are UTC, with leap days")
    func times() {
        #expect(LogTime(seconds: 1_709_251_199, milliseconds: 999).description == "2024-02-29T23:59:59.999Z")
    }

    @Test("the handler obeys its level and merges metadata")
    func handler() {
        let lines = LineCollector()
        let handler = LineLogHandler(level: .notice, format: .text) { lines.append($0) }
        var logger = Logger(label: "test", factory: { _ in handler })
        logger[metadataKey: LogKeys.session] = "n1-7"
        logger.info("quiet")
        logger.notice("loud", metadata: [LogKeys.name: "alice"])
        #expect(lines.all.count == 1)
        #expect(lines.all.first?.hasSuffix(" notice loud name=alice session=n1-7\n") == true)
    }

    @Test("a log file is appended to, and private")
    func file() throws {
        let temporary = try TemporaryDirectory()
        let path = temporary.file("log")
        for word in ["one\n", "two\n"] { try LogSink(path: path).write(word) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "one\ntwo\n")
        #expect(try TemporaryDirectory.mode(of: path) == 0o600)
        let error = #expect(throws: OperatorError.self) { _ = try LogSink(path: temporary.file("no/log")) }
        #expect(error?.status == .cannotCreate)
    }

    @Test("an operator's error is one line")
    func operatorError() {
        #expect(OperatorError(.usage, "bad \u{1B}]0;x\u{7}\nvalue").description == #"bad \u{1b}]0;x\u{7}\nvalue"#)
    }
}

/// Keeps what is written.
private final class LineCollector: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func append(_ line: String) { lines.withLock { $0.append(line) } }
}
