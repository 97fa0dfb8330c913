// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// When routing does what; tests have no time for the real ones.
package struct RoutingTiming: Hashable, Sendable {
    /// How often everything is renewed and read.
    var renewal = Defaults.Routing.renewal
    /// How long what is in Redis lives without that.
    var life = Defaults.Routing.life
    /// How long a start waits for another process with its id, and how often it reads that one's presence.
    var claim = Defaults.Routing.claim
    var claimLookup = Defaults.Routing.claimLookup
    /// How often ticket keys are read.
    var ticketLookup = Defaults.Routing.ticketLookup
}
