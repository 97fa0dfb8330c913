// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol

/// This node as one of a cluster, in a relay-server that was built without clusters: there is no value of it.
struct ClusterMember: Sendable {
    fileprivate let never: Never

    init(
        _: ClusterConfiguration, configuration _: ServerConfiguration, local _: UserRegistry,
        imported _: @escaping @Sendable () -> Void, tickets _: TicketKeys, admission _: Admission,
        group _: any EventLoopGroup, logger _: Logger
    ) throws(OperatorError) { throw OperatorError(.configuration, "this relay-server was built without clusters") }

    func reload(_: ServerConfiguration) throws(OperatorError) -> @Sendable () -> Void { switch never {} }
    var id: NodeID { switch never {} }
    var users: any UserAdministration { switch never {} }
    var traffic: any TrafficStore { switch never {} }
    func observeAccounts(_: @escaping @Sendable (PeerName, UserAccount) -> Void) { switch never {} }
    var cluster: any Cluster { switch never {} }
    var connector: any NodeConnector { switch never {} }
    var others: OtherNodes { switch never {} }
    var status: ClusterStatus { switch never {} }
    var redis: RedisFigures { switch never {} }
}

/// This node's place in its cluster; there is no value of it either.
struct ClusterMembership: ServerPart {
    private let member: ClusterMember

    init(
        _ member: ClusterMember, _: ServerContext, _: ConnectionServices, _: BrokerService, _: AdminResponder
    ) { self.member = member }

    func start() { switch member.never {} }
    func stop() { switch member.never {} }
}
