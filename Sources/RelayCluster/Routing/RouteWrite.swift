// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// One route to be written, or to be withdrawn.
struct RouteWrite: Hashable, Sendable {
    var route: ClusterRoute
    /// What to write; nil to withdraw it.
    var value: String?
    /// How long it is to live.
    var life: TimeAmount
}
