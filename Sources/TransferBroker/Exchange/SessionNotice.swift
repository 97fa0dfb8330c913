// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What the home of a transfer has to say to a session on its receiving side, on whichever node that is.
enum SessionNotice: Hashable, Sendable {
    case ring(TransferID, from: User, to: PeerName, Payload)
    /// The answer to `accept`.
    case start(RequestID, TransferID, Token, expires: Int)
    case ok(RequestID)
    case refuse(RequestID, FailureCode)
    case failed(TransferID, FailureCode, by: ServerMessage.Failed.Party)

    /// The form in which another node is told, for its session `number`.
    func nodeMessage(to number: UInt64) -> NodeMessage {
        switch self {
        case .ring(let transfer, let user, let recipient, let payload):
            .ring(session: number, transfer: transfer, from: user, to: recipient, payload: payload)
        case .start(let request, let transfer, let token, let expires):
            .start(session: number, request: request, transfer: transfer, token: token, expires: expires)
        case .ok(let request): .ok(session: number, request: request)
        case .refuse(let request, let code): .refuse(session: number, request: request, code: code)
        case .failed(let transfer, let code, let party):
            .failed(session: number, transfer: transfer, code: code, by: party)
        }
    }
}
