// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// The rest of the cluster, or what it shares, cannot be asked, or cannot answer yet.
package struct ClusterUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
    /// For logs.
    package var reason: String
    /// What the operator has to mend in Redis, if that is the reason.
    package var cause: Cause?

    package init(reason: String, cause: Cause? = nil) {
        self.reason = reason
        self.cause = cause
    }

    /// What trying again does not help against.
    package enum Cause: Hashable, Sendable {
        /// The Redis user may not do it.
        case forbidden
        /// A key holds something else than what a node writes there.
        case wrongType
    }

    package var description: String { reason }

    /// What a client is told.
    package var code: FailureCode { .clusterUnavailable }

    /// Redis was emptied, and the nodes are still writing again.
    package static let settling = ClusterUnavailable(reason: "Redis lacks what nodes are about to write again")
    /// What came is not what the script replies.
    package static let nonsense = ClusterUnavailable(reason: "the reply of Redis is not of the expected form")
    /// Another node did not answer in time, or is lost.
    package static let noAnswer = ClusterUnavailable(reason: "another node did not answer")
    /// More questions wait for answers than are allowed.
    package static let tooMany = ClusterUnavailable(reason: "too many questions to other nodes are open")
}
