// SPDX-License-Identifier: Apache-2.0

/// Where a node can be dialled, and which start of it is said to be there. A hint: only its certificate and its answer
/// prove it.
struct NodeAddress: Hashable, Sendable {
    /// A host name or an IP address.
    var host: String
    var port: Int
    var incarnation: Incarnation
}
