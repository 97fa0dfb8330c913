// SPDX-License-Identifier: Apache-2.0

package import TLSTransport
package import TransferBroker
import WSProtocol

/// What this node is to the others: its id, which start of it, and the TLS settings that prove the id in both directions.
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
