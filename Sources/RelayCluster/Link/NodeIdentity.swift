// SPDX-License-Identifier: Apache-2.0

package import TLSTransport
package import TransferBroker
package import WSProtocol

/// What this node is to the others: its id, which start of it, and the TLS settings that prove the id in both
/// directions.
package struct NodeIdentity: Sendable {
    package var id: NodeID
    var incarnation: Incarnation
    /// For the node listener: shows this node's certificate, and wants one of the cluster's authority.
    var server: TLSContext
    /// For calls to other nodes: the same certificate, and the same authority.
    var client: TLSContext

    /// Reads the node's certificate, its key, and the cluster's authority, all PEM files.
    ///
    /// - Throws: `TLSError` with the path of the file that cannot be used.
    package init(id: NodeID, incarnation: Incarnation, authority: String, certificate: String, key: String)
        throws(TLSError)
    {
        self.id = id
        self.incarnation = incarnation
        server = try .server(
            certificateChain: certificate, privateKey: key, clientAuthority: authority,
            applicationProtocols: [Self.applicationProtocol])
        client = try .client(
            trust: .file(authority), certificateChain: certificate, privateKey: key,
            applicationProtocols: [Self.applicationProtocol])
    }

    /// The node and its incarnation.
    var end: NodeInstance { NodeInstance(node: id, incarnation: incarnation) }

    private static let applicationProtocol = "http/1.1"
}

/// A node's process: its id and which start of it.
struct NodeInstance: Hashable, Sendable {
    var node: NodeID
    var incarnation: Incarnation
}

/// One start of a node: 16 random bytes made when its process begins. Whatever names an earlier one is over.
package typealias Incarnation = FixedBytes<IncarnationKind>

/// An incarnation's length.
package enum IncarnationKind: FixedBytesKind { package static var length: Int { 16 } }
