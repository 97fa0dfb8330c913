// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import TLSTransport

/// What the parts of a server are made from.
struct ServerContext: Sendable {
    let configuration: ServerConfiguration
    /// One event loop for each processor.
    let group: any EventLoopGroup
    let tls: TLSContext
    let certificates: CertificateInventory
    let users: any UserAdministration
    /// What the node has of its cluster; nil when it is the only one.
    let cluster: ClusterParts?
    let logger: Logger
    /// How many descriptors the process may have.
    let descriptorLimit: Int
    /// What the listeners accept, and cannot accept.
    let accepts: AcceptWatch
}
