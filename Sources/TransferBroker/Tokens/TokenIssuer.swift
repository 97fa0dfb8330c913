// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import WSProtocol

/// What a token is wanted for.
package struct TokenRequest: Hashable, Sendable {
    package let transfer: TransferID
    package let role: TransferRole
    /// Tells this request from earlier ones of the same transfer's id.
    let number: UInt64
}

/// The one way to a token, for either half: it is asked for, made known to the other nodes, handed out, and used once.
struct TokenIssuer: Sendable {
    /// Who gets a token.
    enum Purpose: Hashable, Sendable {
        /// The receiver, as the answer to its `accept`.
        case download(SessionID, RequestID)
        /// The sender, with the payload of that `accept`.
        case upload(Payload)

        fileprivate var role: TransferRole {
            switch self {
            case .download: .download
            case .upload: .upload
            }
        }
    }

    /// A token that is being made.
    struct Pending: Hashable, Sendable {
        fileprivate let number: UInt64
        fileprivate let purpose: Purpose
    }

    /// What becomes of a token that has been made.
    enum Issue: Hashable, Sendable {
        /// It is good, and goes to whom it was made for.
        case issued(Purpose)
        /// There are too many already.
        case noRoom
        /// What it was made for is over.
        case unwanted
    }

    private(set) var ledger: TokenLedger
    /// The tokens that are being made: of each transfer one at most.
    private(set) var pending: [TransferID: Pending] = [:]
    private var lastNumber: UInt64 = 0

    init(lifetime: TimeAmount, capacity: Int) {
        ledger = TokenLedger(lifetime: lifetime, capacity: capacity)
    }

    /// Whether a token can be issued, beside those that are being made.
    mutating func hasRoom(now: NIODeadline) -> Bool { ledger.hasRoom(beside: pending.count, now: now) }

    /// A token is wanted; ``minted(_:for:now:)`` says what becomes of it.
    mutating func request(for transfer: TransferID, _ purpose: Purpose) -> TokenRequest {
        lastNumber += 1
        pending[transfer] = Pending(number: lastNumber, purpose: purpose)
        return TokenRequest(transfer: transfer, role: purpose.role, number: lastNumber)
    }

    /// `token` has been made for `request`.
    mutating func minted(_ token: Token, for request: TokenRequest, now: NIODeadline) -> Issue {
        guard let wanted = pending[request.transfer], wanted.number == request.number else { return .unwanted }
        pending[request.transfer] = nil
        let isIssued = ledger.issue(token, for: request.transfer, request.role, now: now)
        return isIssued ? .issued(wanted.purpose) : .noRoom
    }

    /// Uses a token up; see ``TokenLedger/claim(_:as:now:)``.
    mutating func claim(_ digest: TokenDigest, as role: TransferRole, now: NIODeadline) -> TransferID? {
        ledger.claim(digest, as: role, now: now)
    }

    /// Forgets the tokens of a transfer that is over; those that were handed out and not used are returned.
    mutating func revoke(_ transfer: TransferID) -> [TokenDigest] {
        pending[transfer] = nil
        return ledger.revoke(transfer)
    }

    /// Forgets what has expired.
    mutating func sweep(now: NIODeadline) { ledger.sweep(now: now) }
}
