// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import StreamRelay
import TLSTransport
import TransferBroker

/// This node as one of a cluster, in a relay-server that was built without clusters: there is no value of it.
enum ClusterMember: Sendable {
    init(
        _ settings: ClusterConfiguration, configuration _: ServerConfiguration, local _: UserRegistry,
        imported _: @escaping @Sendable () -> Void, tickets _: TicketKeys, admission _: Admission,
        group _: any EventLoopGroup, logger _: Logger
    ) throws(OperatorError) { switch settings {} }

    var id: NodeID { switch self {} }
    var users: any UserAdministration { switch self {} }
    var cluster: any Cluster { switch self {} }
    var connector: any NodeConnector { switch self {} }
    var status: ClusterStatus { switch self {} }
    func join(_: ServerContext, _: ConnectionServices, _: ExchangeService) async throws {}
    func leave() async {}
}
