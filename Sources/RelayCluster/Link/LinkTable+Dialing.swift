// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import TransferBroker
import WSProtocol

/// Ways to other nodes.
extension LinkTable {
    func resolve(_ node: NodeID, _ attempt: UInt64) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        Task { [addresses, loop] in
            let address = await addresses.address(of: node)
            loop.execute { bound.value.step(node) { $0.resolved(address, attempt: attempt) } }
        }
    }

    func dial(_ node: NodeID, _ address: NodeAddress, _ connection: LinkConnection) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        dialer.connect(to: node, at: address, on: loop) { [heartbeat] channel in
            let upgrade = LinkUpgradeHandler(to: node, heartbeat: heartbeat) { result in
                switch result {
                case .success(let channel): bound.value.connected(node, connection, channel)
                case .failure(let error): bound.value.dialFailed(node, address, connection, error)
                }
            } report: { event in
                bound.value.heard(event, from: node, connection)
            }
            try channel.pipeline.syncOperations.addHandler(upgrade)
        }.whenFailure { error in
            let error = error as? NodeDialError ?? .unreachable("\(error)")
            bound.value.dialFailed(node, address, connection, error)
        }
    }

    private func dialFailed(
        _ node: NodeID, _ address: NodeAddress, _ connection: LinkConnection, _ error: NodeDialError
    ) {
        switch error {
        case .untrusted(let words), .otherAuthority(let words):
            refusedCertificate(of: node, at: "\(address.host):\(address.port)", words)
        case .refused, .unreachable:
            logger.debug(
                "cannot reach another node",
                metadata: [LogKeys.node: "\(node.rawValue)", LogKeys.error: "\(error)"])
        }
        step(node) { $0.dialFailed(connection, refused: error == .refused, now: .now()) }
    }

    private func heard(_ event: OutboundLinkHandler.Event, from node: NodeID, _ connection: LinkConnection) {
        switch event {
        case .frame(let frame): step(node) { $0.answered(frame, on: connection, now: .now()) }
        case .malformed: step(node) { $0.malformed(connection, now: .now()) }
        case .ended(let silence): disconnected(node, connection, silence: silence)
        }
    }
}
