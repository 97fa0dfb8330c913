// SPDX-License-Identifier: Apache-2.0

/// Redis does not say, or cannot say yet.
struct ClusterUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
    /// For logs.
    var reason: String

    var description: String { reason }

    /// Redis was emptied, and the nodes are still writing again.
    static let settling = ClusterUnavailable(reason: "Redis was emptied and is being filled again")
    /// What came is not what the script replies.
    static let nonsense = ClusterUnavailable(reason: "the reply of Redis is not of the expected form")
}
