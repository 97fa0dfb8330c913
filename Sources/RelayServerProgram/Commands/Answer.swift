// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import ServerSystem

/// What a sub-command was run for: its text on standard output.
enum Answer {
    /// Writes `text` and a line feed.
    /// - Throws: ``OperatorError`` when not all of it could be written: a reader must not take a part for the whole.
    static func write(_ text: String) throws(OperatorError) {
        do {
            try StandardStream.write(text + "\n")
        } catch {
            throw OperatorError(.inputOutput, "\(error)")
        }
    }
}
