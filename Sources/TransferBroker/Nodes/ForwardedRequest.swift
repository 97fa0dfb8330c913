// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A client's request that its session node passes on to the transfer's home, as the client sent it.
package enum ForwardedRequest: Hashable, Sendable {
    case accept(ClientMessage.Accept)
    case decline(ClientMessage.Decline)
    case cancel(ClientMessage.Cancel)
    case progress(ClientMessage.Progress)
    case delivered(ClientMessage.Delivered)

    /// The request as the client's message.
    package var message: ClientMessage {
        switch self {
        case .accept(let request): .accept(request)
        case .decline(let request): .decline(request)
        case .cancel(let request): .cancel(request)
        case .progress(let request): .progress(request)
        case .delivered(let request): .delivered(request)
        }
    }

    /// Nil when nodes do not pass `message` on.
    package init?(_ message: ClientMessage) {
        switch message {
        case .accept(let request): self = .accept(request)
        case .decline(let request): self = .decline(request)
        case .cancel(let request): self = .cancel(request)
        case .progress(let request): self = .progress(request)
        case .delivered(let request): self = .delivered(request)
        case .login, .register, .presence, .lookup, .offer, .ping: return nil
        }
    }

    /// The request's id.
    package var id: RequestID { message.id }

    /// The transfer it is about.
    package var transfer: TransferID {
        switch self {
        case .accept(let request): request.transfer
        case .decline(let request): request.transfer
        case .cancel(let request): request.transfer
        case .progress(let request): request.transfer
        case .delivered(let request): request.transfer
        }
    }
}
