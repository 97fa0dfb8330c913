// SPDX-License-Identifier: Apache-2.0

/// How one half of a transfer, the request for `/upload` or `/download`, ended before its time.
package enum StreamFailure: Hashable, Sendable {
    /// No connection could be made, or it was cut.
    case cut
    /// The relay answered with an error, and with a code if its body held one.
    case refused(status: Int, code: FailureCode?)
}
