// SPDX-License-Identifier: Apache-2.0

package import Logging
import NIOCore
package import ServerSystem
package import StreamRelay
package import TransferBroker
import WSProtocol

/// What connections need of the rest of the node. All of it is said at once: what is forgotten does not compile.
package struct ConnectionServices: Sendable {
    /// Claims tokens and hears what becomes of streams.
    package let transfers: any TransferDirectory
    /// The streams this process holds.
    package let streams: StreamTable
    /// This node.
    package let node: NodeID
    /// Reaches the nodes that hold other halves; nil when there are none.
    package let connector: (any NodeConnector)?
    /// The memory they are moved through.
    package let memory = StreamMemory()
    /// Counts what users move.
    package let traffic: TrafficLedger
    /// Who may come in.
    package let admission: Admission
    /// Takes over connections that became WebSockets.
    package let control: any ControlAcceptor
    /// Who is told of what was refused.
    package let reports: LimitReports
    package let logger: Logger
    /// What the listeners accept, and cannot accept.
    package let accepts: AcceptWatch
    /// The balancers that are believed when they say whose a connection is.
    package let peers: TrustedPeers
    /// What browsers are shown; nil for nothing.
    package let site: Site?
    /// Where answers to ACME's challenges lie, for plain HTTP; nil for nowhere.
    package let challenges: ServedFolder?
    /// Counts the handshakes of clients.
    package let handshakes: HandshakeCounts

    package init(
        transfers: any TransferDirectory, streams: StreamTable, node: NodeID, connector: (any NodeConnector)?,
        traffic: TrafficLedger, admission: Admission, control: any ControlAcceptor, reports: LimitReports,
        logger: Logger, accepts: AcceptWatch, peers: TrustedPeers, site: Site?, challenges: ServedFolder?,
        handshakes: HandshakeCounts
    ) {
        self.transfers = transfers
        self.streams = streams
        self.node = node
        self.connector = connector
        self.traffic = traffic
        self.admission = admission
        self.control = control
        self.reports = reports
        self.logger = logger
        self.accepts = accepts
        self.peers = peers
        self.site = site
        self.challenges = challenges
        self.handshakes = handshakes
    }

    /// What a stream needs of them.
    package var stream: StreamServices { StreamServices(transfers: transfers, streams: streams, memory: memory) }

    /// Why a stream that a sender comes for is not here: a relay that stops has cut it, else its receiver has left.
    var missingStream: FailureCode { admission.isStopping ? .draining : .receiverGone }
}
