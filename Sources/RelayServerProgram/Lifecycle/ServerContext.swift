// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import ServerSystem
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
    let cluster: ClusterMember?
    /// Counts the connections.
    let admission: Admission
    /// Who is told of limits that are met.
    let reports: LimitReports
    let logger: Logger
    /// How many descriptors the process may have.
    let descriptorLimit: Int
    /// What the listeners accept, and cannot accept.
    let accepts: AcceptWatch
}
