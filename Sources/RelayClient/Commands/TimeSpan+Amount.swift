// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import NIOCore
import TransferClient

extension TimeSpan {
    /// How long `send` waits unless it is told otherwise.
    static let patience = TimeSpan(milliseconds: TransferDefaults.patience.nanoseconds / 1_000_000)

    /// The same for NIO.
    var amount: TimeAmount { .milliseconds(milliseconds) }
}
