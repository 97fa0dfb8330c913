// SPDX-License-Identifier: Apache-2.0

import TransferClient
import WSProtocol

/// What a session has told the relay of itself, for which there will be an answer.
struct Announcement {
    private var id: RequestID?

    /// Tells the relay what to pass on.
    mutating func post(receiving: Bool, sharing: Bool, on outbox: Outbox) {
        let id = outbox.nextID()
        self.id = id
        outbox.post(.presence(.init(id: id, receiving: receiving, sharing: sharing)))
    }

    /// What comes of an answer; nil when `message` is none.
    func answered(
        by message: ServerMessage, _ machine: inout ReceiverMachine, in environment: SessionEnvironment
    ) -> [ReceiverMachine.Action]? {
        switch message {
        case .ok(let answer) where answer.id == id: return machine.announced()
        case .error(let refusal) where refusal.id == id:
            let (name, relay) = (environment.name, environment.relay)
            return machine.refused(ConnectionError(refused: refusal.code, name: name, relay: relay))
        default: return nil
        }
    }
}
