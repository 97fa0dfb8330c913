// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

@testable import Sealing

extension AttemptKeys {
    /// All of them, to be compared.
    var all: [[UInt8]] {
        [content, senderNotes, receiverNotes, delivered].map { $0.withUnsafeBytes { Array($0) } }
    }
}
