// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// How long a transfer may stay in each of its states.
package struct TransferTiming: Hashable, Sendable {
    /// From the first ring to an accept.
    package var ring: TimeAmount
    /// From the receiver's token to its request.
    package var claim: TimeAmount
    /// From the receiver's request to the sender's.
    package var attach: TimeAmount
    /// From the last byte to the receiver's `delivered`.
    package var delivery: TimeAmount
    /// From a `delivered` that overtook the end of the stream to that end.
    var straggler: TimeAmount
    /// From a cut of the stream to the verdict: the client that cut it may say why.
    package var explanation: TimeAmount
    /// Between two reports of progress that are passed on.
    package var progress: TimeAmount
}
