// SPDX-License-Identifier: Apache-2.0

/// How links are, and what has happened on them since the process began.
struct NodeLinkStatus: Hashable, Sendable {
    /// Links over which this node can speak now, and those over which others speak to it.
    var outbound = 0
    var inbound = 0
    /// Messages that wait for another node's acknowledgement.
    var waitingMessages = 0
    /// How often a node was found to be lost.
    var lost: UInt64 = 0
    /// Connections, either way, that ended because of a certificate.
    var refusedCertificates: UInt64 = 0
    /// Connections that ended because the other side broke a rule.
    var violations: UInt64 = 0
}
