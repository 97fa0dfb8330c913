// SPDX-License-Identifier: Apache-2.0

import ServerSystem
package import TLSTransport
package import TransferBroker
package import WSProtocol

/// What this node is to the others: its id, which start of it, and the TLS settings that prove the id in both
/// directions.
package struct NodeIdentity: Sendable {
    package var id: NodeID
    var incarnation: Incarnation
    /// For the node listener: shows this node's certificate, and wants one of the cluster's authority.
    var server: TLSContext { proofs.current.server }
    /// For calls to other nodes: the same certificate, and the same authority.
    var client: TLSContext { proofs.current.client }

    /// What a node proves its id with, in both directions.
    package struct Proofs: Sendable {
        fileprivate let server: TLSContext
        fileprivate let client: TLSContext

        /// Reads the node's certificate, its key, and the cluster's authority, all PEM files.
        ///
        /// - Throws: `TLSError` with the path of the file that cannot be used.
        package init(authority: String, certificate: String, key: String) throws(TLSError) {
            server = try .server(
                certificateChain: certificate, privateKey: key, clientAuthority: authority,
                applicationProtocols: [NodeIdentity.applicationProtocol])
            client = try .client(
                trust: .file(authority), certificateChain: certificate, privateKey: key,
                applicationProtocols: [NodeIdentity.applicationProtocol])
        }
    }

    private let proofs: Replaceable<Proofs>

    /// Reads the node's certificate, its key, and the cluster's authority, all PEM files.
    ///
    /// - Throws: `TLSError` with the path of the file that cannot be used.
    package init(id: NodeID, incarnation: Incarnation, authority: String, certificate: String, key: String)
        throws(TLSError)
    {
        self.id = id
        self.incarnation = incarnation
        proofs = Replaceable(try Proofs(authority: authority, certificate: certificate, key: key))
    }

    /// Shows and trusts `new` from now on, in every copy of this; connections that are there stay.
    package func replaceProofs(with new: Proofs) { proofs.replace(with: new) }

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
