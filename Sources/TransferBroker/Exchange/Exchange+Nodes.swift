// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

// What other nodes do to the transfers of this home, and to this node's sessions.
extension Exchange {
    /// Other nodes have sessions of `name` that want to be rung. Those that have been rung already are not rung again.
    package mutating func receiversAppeared(
        _ name: PeerName, _ receivers: [SessionID], now: NIODeadline
    ) -> [ExchangeAction] {
        let offers = names[name]?.offers ?? []
        var actions: [ExchangeAction] = []
        for receiver in receivers where receiver.node != node {
            for offer in offers { actions += change(offer, now: now) { $0.sessionReceiving(receiver, now: now) } }
        }
        return actions
    }

    /// `sender` said something. Claims are answered, and forwarded requests prepared, before they come here.
    package mutating func messageReceived(
        _ message: NodeMessage, from sender: NodeID, now: NIODeadline
    ) -> [ExchangeAction] {
        switch message {
        case .ring, .start, .ok, .refuse, .failed, .release: return homeSaid(message, sender)
        case .left(let number, let transfer, let isStopping):
            return change(transfer, now: now) {
                $0.sessionClosed(SessionID(node: sender, number: number), isStopping ? .nodeStopping : .closed)
            }
        case .stream(let transfer, let event, url: _): return streamChanged(transfer, event, on: sender, now: now)
        case .abort(let transfer, let outcome):
            return [.endStream(StreamKey(home: sender, transfer: transfer), outcome)]
        case .request, .claim, .claimed: return []
        }
    }

    /// A client of another node asks something about a transfer of this home.
    package mutating func requestForwarded(
        _ request: SessionRequest, from session: SessionID, now: NIODeadline
    ) -> [ExchangeAction] {
        guard session.node != node else { return [] }
        return decide(request, by: session, now: now)
    }

    /// Everything shared with the process of `lost` is over: its sessions, the halves it held, and the transfers whose
    /// home it was.
    package mutating func nodeLost(_ lost: NodeID, now: NIODeadline) -> [ExchangeAction] {
        guard lost != node else { return [] }
        var actions: [ExchangeAction] = []
        for (session, transfers) in remotes where session.node == lost {
            for transfer in transfers {
                actions += change(transfer, now: now) { $0.sessionClosed(session, .nodeLost) }
            }
        }
        for (transfer, held) in halves where held.has(lost) {
            actions += change(transfer, now: now) { $0.streamCut(.clusterUnavailable, now: now) }
        }
        for (transfer, guest) in guests where guest.home == lost {
            for session in guest.sessions {
                actions += notify(session, .failed(transfer, .clusterUnavailable, by: .relay))
                actions += release(session, transfer)
            }
        }
        // There is nobody to tell any more.
        actions.removeAll { if case .tell(lost, _) = $0 { true } else { false } }
        return actions + [.abortStreams(ofHome: lost, .clusterUnavailable)]
    }
}
