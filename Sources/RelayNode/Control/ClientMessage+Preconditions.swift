// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What a node looks at before it hands a message to the broker.
extension ClientMessage {
    /// The name whose user the relay looks up before it acts on the message; nil for messages that name no other user.
    var lookedUpName: PeerName? {
        switch self {
        case .lookup(let message): message.name
        case .offer(let message): message.to
        case .request(let message): message.to
        case .login, .register, .presence, .accept, .decline, .progress, .note, .delivered, .cancel, .withdraw, .refuse,
            .ping:
            nil
        }
    }

    /// Whether content may follow from it: the relay looks first at how much the user may still move in the day.
    var leadsToContent: Bool {
        switch self {
        case .offer, .accept: true
        case .login, .register, .presence, .lookup, .decline, .progress, .note, .delivered, .cancel, .request,
            .withdraw, .refuse, .ping:
            false
        }
    }
}
