// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOCore
package import ServerSystem
package import StreamRelay
package import TransferBroker
import WSProtocol

/// What connections need of the rest of the node.
package struct ConnectionServices: Sendable {
    /// Claims tokens and hears what becomes of streams.
    package var transfers: any TransferDirectory
    /// The streams this process holds.
    package var streams: StreamTable
    /// This node.
    package var node = NodeID.alone
    /// Reaches the nodes that hold other halves; nil when there are none.
    package var connector: (any NodeConnector)?
    /// The memory they are moved through.
    package let memory = StreamMemory()
    /// Counts what users move; nil: that is not counted.
    package var traffic: TrafficLedger?
    /// Who may come in.
    package var admission: Admission
    /// Takes over connections that became WebSockets.
    package var control: any ControlAcceptor
    /// Who is told of what was refused.
    package var reports: LimitReports?
    package var logger: Logger
    /// What the listeners accept, and cannot accept.
    package var accepts = AcceptWatch()
    /// The balancers that are believed when they say whose a connection is.
    package var peers = TrustedPeers()
    /// What browsers are shown; nil for nothing.
    package var site: Site?
    /// Where answers to ACME's challenges lie, for plain HTTP; nil for nowhere.
    package var challenges: ServedFolder?
    /// Counts the handshakes of clients.
    package var handshakes = HandshakeCounts()

    package init(
        transfers: any TransferDirectory, streams: StreamTable, node: NodeID = NodeID.alone,
        connector: (any NodeConnector)? = nil, admission: Admission, control: any ControlAcceptor,
        reports: LimitReports? = nil, logger: Logger, accepts: AcceptWatch = AcceptWatch(),
        peers: TrustedPeers = TrustedPeers(), site: Site? = nil, challenges: ServedFolder? = nil
    ) {
        self.transfers = transfers
        self.streams = streams
        self.node = node
        self.connector = connector
        self.admission = admission
        self.control = control
        self.reports = reports
        self.logger = logger
        self.accepts = accepts
        self.peers = peers
        self.site = site
        self.challenges = challenges
    }

    /// What a stream needs of them.
    package var stream: StreamServices { StreamServices(transfers: transfers, streams: streams, memory: memory) }

    /// Why a stream that a sender comes for is not here: a relay that stops has cut it, else its receiver has left.
    var missingStream: FailureCode { admission.isStopping ? .draining : .receiverGone }
}
