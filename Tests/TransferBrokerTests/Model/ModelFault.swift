// SPDX-License-Identifier: Apache-2.0

import WSProtocol

@testable import TransferBroker

/// Something that is wrong on purpose, to show that it is found.
enum ModelFault: String, CaseIterable {
    /// A token stays good after it was shown.
    case keepsTokens
    /// A session is rung twice.
    case ringsTwice
    /// No session hears that a transfer has failed.
    case concealsFailures
    /// The sender hears that a transfer was delivered when it has failed.
    case praisesFailures
    /// A node does not care that it has lost another.
    case forgetsLosses
    /// The clock of the home stands still.
    case missesDeadlines

    func swallows(_ event: BrokerEvent, at node: Int) -> Bool {
        switch event {
        case .nodeLost: self == .forgetsLosses
        case .timerFired: self == .missesDeadlines && node == 0
        default: false
        }
    }

    /// What becomes of an action.
    func spoilt(_ action: BrokerAction, in world: ModelWorld) -> [BrokerAction] {
        guard case .send(let session, let message) = action else { return [action] }
        switch (self, message) {
        case (.ringsTwice, .ring): return [action, action]
        case (.concealsFailures, .failed): return []
        case (.praisesFailures, .failed(let failed)) where session == world.clients[0].session:
            let said = ServerMessage.Delivered(
                id: failed.id, transfer: failed.transfer, payload: Payload(bytes: [])!)
            return [.send(session, .delivered(said))]
        default: return [action]
        }
    }
}
