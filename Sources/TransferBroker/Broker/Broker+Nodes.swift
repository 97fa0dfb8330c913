// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

// What other nodes do to the transfers of this home, and to this node's sessions.
extension Broker {
    /// Other nodes have sessions of `name` that want to be rung. Those that have been rung already are not rung again.
    mutating func receiversAppeared(
        _ name: PeerName, _ receivers: [SessionID], now: NIODeadline
    ) -> [BrokerAction] {
        let offers = names[name]?.offers ?? []
        var actions: [BrokerAction] = []
        for receiver in receivers where receiver.node != node {
            for offer in offers { actions += change(offer, now: now) { $0.sessionReceiving(receiver, now: now) } }
        }
        return actions
    }

    /// `sender` said something. Claims are answered before they come here.
    mutating func messageReceived(
        _ message: NodeMessage, from sender: NodeID, now: NIODeadline
    ) -> [BrokerAction] {
        switch message {
        case .notice(let number, let notice):
            return homeSaid(notice, to: SessionID(node: node, number: number), sender)
        case .release(let number, let transfer):
            return released(transfer, SessionID(node: node, number: number), by: sender)
        case .request(let number, let message):
            return requestReceived(message, from: SessionID(node: sender, number: number), nil, now: now)
        case .left(let number, let transfer, let isStopping):
            return change(transfer, now: now) {
                $0.sessionClosed(SessionID(node: sender, number: number), isStopping ? .nodeStopping : .closed)
            }
        case .stream(let transfer, let event, let publicURL):
            return streamChanged(transfer, event, on: sender, publicURL, now: now)
        case .abort(let transfer, let outcome):
            return [.endStream(StreamKey(home: sender, transfer: transfer), outcome)]
        case .claim, .claimed: return []
        }
    }

    /// Everything shared with the process of `lost` is over: its sessions, the halves it held, and the transfers whose
    /// home it was.
    mutating func nodeLost(_ lost: NodeID, now: NIODeadline) -> [BrokerAction] {
        guard lost != node else { return [] }
        var actions: [BrokerAction] = []
        for (session, transfers) in remotes where session.node == lost {
            for transfer in transfers {
                actions += change(transfer, now: now) { $0.sessionClosed(session, .nodeLost) }
            }
        }
        for (transfer, held) in halves where held.has(lost) {
            actions += change(transfer, now: now) { $0.streamCut(.clusterUnavailable, now: now) }
        }
        for (transfer, guest) in remoteTransfers where guest.home == lost {
            for session in guest.sessions {
                actions += notify(session, .failed(transfer, .clusterUnavailable, by: .relay))
                actions += release(session, transfer)
            }
        }
        // The lost node cannot be told anything any more.
        actions.removeAll { if case .tell(lost, _) = $0 { true } else { false } }
        return actions + [.abortStreams(ofHome: lost, .clusterUnavailable)]
    }
}
