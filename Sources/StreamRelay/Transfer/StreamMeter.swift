// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Counts the content of streams for someone, and says when there was too much of it. For any thread.
package protocol StreamMeter: AnyObject, Sendable {
    /// So many bytes have gone through: returns how long nothing more may.
    func passed(_ bytes: Int, now: NIODeadline) -> TimeAmount
    /// A stream has ended that this was counting.
    func ended()
}
