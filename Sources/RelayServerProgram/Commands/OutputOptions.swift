// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ServerSystem
import WSProtocol

/// Whether a sub-command's answer is for a person or for a program.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON instead of text: one object a line.")
    var json = false

    /// Writes `value`, or the `text` that says the same.
    func write(_ value: some Encodable, _ text: () -> String) throws(OperatorError) {
        guard json else { return try Answer.write(text()) }
        guard let line = try? StrictJSON.encode(value) else { throw AdminClient.unexpected }
        try Answer.write(line)
    }
}
