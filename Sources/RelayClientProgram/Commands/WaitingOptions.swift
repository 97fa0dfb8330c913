// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import NIOCore
import TransferClient

/// How long a command waits for someone else.
struct WaitingOptions: ParsableArguments {
    @Flag(name: .customLong("no-wait"), help: "Do not wait for a client that is offline.")
    var doesNotWait = false

    @Option(
        help: "Give up when no byte has moved for this long, such as 30s, 10m (the default) or 24h.",
        transform: { try TimeSpan($0) })
    var timeout = TimeSpan.patience

    func validate() throws {
        guard timeout.amount > .zero else {
            throw ValidationError("--timeout must be longer than zero, such as 30s, 10m or 24h")
        }
    }

    /// Whether a client that is offline is waited for.
    var waits: Bool { !doesNotWait }
    /// How long to go on while nothing moves.
    var patience: TimeAmount { timeout.amount }
}

extension TimeSpan {
    /// The patience of those who say nothing of it.
    static let patience = TimeSpan(milliseconds: TransferDefaults.patience.nanoseconds / 1_000_000)
}
