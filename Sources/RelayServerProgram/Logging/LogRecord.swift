// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import Logging
import ServerSystem
import WSProtocol

/// One thing that happened, and its two written forms; both are one line, whatever is in the values.
struct LogRecord: Sendable {
    var time: LogTime
    var level: Logger.Level
    var message: String
    var metadata: Logger.Metadata

    /// The line in `format`, with the line feed.
    func line(_ format: LogFormat) -> String {
        switch format {
        case .text: textLine
        case .json: jsonLine
        }
    }

    private var textLine: String {
        var line = "\(time) \(level.rawValue) \(TextEscape.escape(message))"
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(TextEscape.escape(key))=\(Self.quotedIfNeeded("\(value)"))"
        }
        return line + "\n"
    }

    private var jsonLine: String {
        var line = #"{"time":"\#(time)","level":"\#(level.rawValue)","message":"#
        Self.appendJSON(message, to: &line)
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += ","
            // The three names above stay what they are.
            Self.appendJSON(["time", "level", "message"].contains(key) ? "_" + key : key, to: &line)
            line += ":"
            Self.appendJSON("\(value)", to: &line)
        }
        return line + "}\n"
    }

    /// Quotes a value that would not read as one word.
    private static func quotedIfNeeded(_ value: String) -> String {
        let isWord = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x3D && $0 != 0x5C }
        if isWord { return TextEscape.escape(value) }
        var quoted = "\""
        for character in value.unicodeScalars {
            switch character {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            default: quoted += TextEscape.escape(String(character))
            }
        }
        return quoted + "\""
    }

    /// A JSON string (RFC 8259, section 7); what could disturb a terminal is escaped too.
    private static func appendJSON(_ text: String, to line: inout String) {
        line += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": line += "\\\""
            case "\\": line += "\\\\"
            case _ where scalar.mayDisturbTerminal: line += scalar.jsonEscape
            default: line.unicodeScalars.append(scalar)
            }
        }
        line += "\""
    }
}
