// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

/// The limits of an ``Broker``; `Defaults.Broker` has the usual ones with their reasons.
package struct BrokerLimits: Hashable, Sendable {
    /// What one user may hold, with all sessions together.
    package var user: Holding
    /// What any one address may hold; nil without a limit.
    package var address: Holding?
    /// Offered, and separately accepted, transfers of one session.
    var transfersPerSession: Int
    /// Offers that may wait for one name. A user, and an address, may have as many of them as are still free.
    var offersPerRecipient: Int
    /// Bytes of payloads that are kept for later.
    var heldBytes: Int
    package var unclaimedTokens: Int
    package var tokenLifetime: TimeAmount
    package var timers: TransferTiming
    /// Seconds, as announced in `welcome`.
    package var heartbeat: Int
}
