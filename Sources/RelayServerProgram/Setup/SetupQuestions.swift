// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import Glibc
import ServerSystem

/// Asks the person at the terminal what `setup` was not told by flags.
enum SetupQuestions {
    /// Whether there is a person to ask.
    static var canAsk: Bool { StandardStream.isTerminal(STDIN_FILENO) }

    /// Asks until `read` takes what was typed; it says why it does not.
    /// - Throws: `ValidationError` when nothing more can be typed.
    static func ask<Meaning>(_ question: String, _ read: (String) throws -> Meaning) throws -> Meaning {
        while true {
            LogSink.standardError.write("\(question) ")
            guard let typed = readLine() else {
                LogSink.standardError.write("\n")
                throw ValidationError("nothing was typed for: \(question)")
            }
            do {
                return try read(Pasted.trimmed(typed))
            } catch let error as ValidationError {
                LogSink.standardError.write("\(TextEscape.escape(error.message))\n")
            }
        }
    }

    /// Asks for a yes or a no; nothing is a yes.
    static func agrees(to question: String) throws -> Bool {
        try ask("\(question) [Y/n]") { typed in
            switch typed.lowercased() {
            case "", "y", "yes": true
            case "n", "no": false
            default: throw ValidationError("y or n, please")
            }
        }
    }
}
