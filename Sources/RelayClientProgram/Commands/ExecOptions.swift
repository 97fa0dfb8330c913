// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import TransferClient

/// The command that is run for what was received.
struct ExecOptions: ParsableArguments {
    @Option(name: .customLong("exec"), help: "Command to run for each received file or folder, without a shell.")
    var program: String?

    @Option(name: .customLong("exec-shell"), help: "The same for a command that /bin/sh reads.")
    var shell: String?

    func validate() throws { _ = try command }

    /// The command; nil where none is given.
    var command: FileCommand? { get throws { try FileCommand.argument(program: program, shell: shell) } }
    /// Whether one is given.
    var isGiven: Bool { program != nil || shell != nil }
}
