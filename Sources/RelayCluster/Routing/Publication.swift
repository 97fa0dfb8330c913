// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// What the publisher wants Redis to be told next, in one call.
enum Publication: Hashable, Sendable {
    /// Take or renew the presence; `replacing` is what stood there and may be replaced.
    case presence(replacing: String?)
    case routes([RouteWrite])
    /// Users that an emptied Redis may have lost.
    case users([User])
    /// Take the presence away.
    case leave
}
