// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import WSProtocol

/// What connections need of the rest of the node.
struct ConnectionServices: Sendable {
    /// Claims tokens and hears what becomes of streams.
    var transfers: any TransferDirectory
    /// The streams this process holds.
    var streams: StreamTable
    /// This node.
    var node = NodeID.alone
    /// Reaches the nodes that hold other halves; nil when there are none.
    var connector: (any NodeConnector)?
    /// The memory they are moved through.
    let memory = StreamMemory()
    /// Who may come in.
    var admission: Admission
    /// Takes over connections that became WebSockets.
    var control: any ControlAcceptor
    /// Who is told of what was refused.
    var reports: LimitReports?
    var logger: Logger
    /// What the listeners accept, and cannot accept.
    var accepts = AcceptWatch()
    /// Who is believed when it says whose a connection is.
    var peers = TrustedPeers()

    /// What a stream needs of them.
    var stream: StreamServices { StreamServices(transfers: transfers, streams: streams, memory: memory) }

    /// Why a stream that a sender comes for is not here: a relay that stops has cut it, else its receiver has left.
    var missingStream: FailureCode { admission.isDraining ? .draining : .receiverGone }
}
