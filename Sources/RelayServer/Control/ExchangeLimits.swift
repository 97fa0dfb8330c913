// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The limits of an ``Exchange``; `Defaults.Exchange` has the usual ones with their reasons.
struct ExchangeLimits: Hashable, Sendable {
    /// What one user may hold, with all sessions together.
    var user: Holding
    /// What there may be of one address, whoever it is; nil without a limit.
    var address: Holding?
    /// Offered, and separately accepted, transfers of one session.
    var transfersPerSession: Int
    /// Offers that may wait for one name. A user, and an address, may have as many of them as are still free.
    var offersPerRecipient: Int
    /// Bytes of payloads that are kept for later.
    var heldBytes: Int
    var unclaimedTokens: Int
    var tokenLifetime: TimeAmount
    var timers: TransferTimers
    /// Seconds, as announced in `welcome`.
    var heartbeat: Int
}
