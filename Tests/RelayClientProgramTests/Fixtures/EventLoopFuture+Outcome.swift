// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension EventLoopFuture {
    /// What it has come to; nil while that is open. On its event loop only.
    var outcome: Result<Value, any Error>? {
        var outcome: Result<Value, any Error>?
        assumeIsolated().whenComplete { outcome = $0 }
        return outcome
    }
}
