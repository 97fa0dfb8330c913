// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

// The one way to a token, for either half: it is asked for, made known to the other nodes, and handed out.
extension Broker {
    /// A token that is being made.
    struct Mint: Hashable, Sendable {
        let number: UInt64
        let purpose: Purpose

        /// Who gets the token.
        enum Purpose: Hashable, Sendable {
            /// The receiver, as the answer to its `accept`.
            case download(SessionID, RequestID)
            /// The sender, with the payload of that `accept`.
            case upload(Payload)
        }
    }

    /// Whether a token can be issued, beside those that are being made.
    mutating func hasRoomForToken(now: NIODeadline) -> Bool { ledger.hasRoom(beside: mints.count, now: now) }

    /// Asks for a token; what is done with it waits for ``BrokerEvent/tokenMinted(_:for:)``.
    mutating func mint(for transfer: TransferID, _ purpose: Mint.Purpose) -> [BrokerAction] {
        let number = nextMint()
        mints[transfer] = Mint(number: number, purpose: purpose)
        let role: TransferRole = if case .download = purpose { .download } else { .upload }
        return [.mint(TokenRequest(transfer: transfer, role: role, number: number))]
    }

    /// Hands `token` out, if what it was made for still stands.
    mutating func tokenMinted(_ token: Token, for request: TokenRequest, now: NIODeadline) -> [BrokerAction] {
        let id = request.transfer
        guard let mint = mints[id], mint.number == request.number, let transfer = transfers[id] else {
            // It was made in vain: no node is to find it.
            return [.announce(.void(TokenDigest(token)))]
        }
        mints[id] = nil
        guard ledger.issue(token, for: id, request.role, now: now) else {
            // Room was kept for it; were there none all the same, there would be no stream.
            return [.announce(.void(TokenDigest(token)))]
                + change(id, now: now) { $0.streamCut(.unavailable, now: now) }
        }
        switch mint.purpose {
        case .download(let session, let request):
            return notify(session, .start(request, id, token, expires: Self.seconds(limits.tokenLifetime)))
        case .upload(let payload):
            // The receiver's request is held no longer than this.
            let expires = Self.seconds(min(limits.tokenLifetime, limits.timers.attach))
            let start = ServerMessage.Start(
                id: transfer.offerID, transfer: id, role: .upload, token: token,
                url: (halves[id]?.publicURL?.rawValue ?? "") + "/upload", expires: expires, payload: payload
            )
            return [.send(transfer.sender, .start(start))]
        }
    }

    private static func seconds(_ time: TimeAmount) -> Int { Int(time.nanoseconds / 1_000_000_000) }
}
