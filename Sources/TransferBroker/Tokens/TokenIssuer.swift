// SPDX-License-Identifier: Apache-2.0

import Crypto
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
        // Without room the transfer ends, and who waits for the token is told then.
        guard ledger.issue(token, for: request.transfer, request.role, now: now) else { return .noRoom }
        pending[request.transfer] = nil
        return .issued(wanted.purpose)
    }

    /// The token that is being made is none for `session` any more; the `accept` that it would have answered.
    mutating func withdraw(_ transfer: TransferID, from session: SessionID) -> RequestID? {
        guard case .download(session, let request)? = pending[transfer]?.purpose else { return nil }
        pending[transfer] = nil
        return request
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

/// The tokens that have been handed out and not been used yet.
///
/// Each is bound to one transfer and one half of it, is good for one claim, and expires. All live equally long, so the
/// order of issue is the order of expiry, and sweeping looks at nothing that is still good.
struct TokenLedger: Sendable {
    /// What one token is good for.
    struct Entry: Hashable, Sendable {
        var transfer: TransferID
        var role: TransferRole
        var expiry: NIODeadline
    }

    private let lifetime: TimeAmount
    private let capacity: Int
    /// The tokens that may still be claimed, and those that expired since the last ``sweep(now:)``.
    private(set) var entries: [TokenDigest: Entry] = [:]
    /// At most two for each transfer.
    private var digests: [TransferID: [TokenDigest]] = [:]
    /// Every digest in the order of issue, with those that were used or revoked since.
    private var byAge = CircularBuffer<(digest: TokenDigest, expiry: NIODeadline)>()

    /// - Parameters:
    ///   - lifetime: how long a token may be claimed.
    ///   - capacity: how many tokens are remembered, used ones included until they would have expired.
    init(lifetime: TimeAmount, capacity: Int) {
        self.lifetime = lifetime
        self.capacity = capacity
    }

    /// Tokens that may still be claimed, and those that expired since the last ``sweep(now:)``.
    var count: Int { entries.count }

    /// Whether a token can be issued at `now`, when `others` are about to be.
    mutating func hasRoom(beside others: Int = 0, now: NIODeadline) -> Bool {
        sweep(now: now)
        return byAge.count + others < capacity
    }

    /// Makes `token`, which no client has seen yet, good for the half `role` of `transfer`; false when there are too
    /// many already.
    mutating func issue(_ token: Token, for transfer: TransferID, _ role: TransferRole, now: NIODeadline) -> Bool {
        guard hasRoom(now: now) else { return false }
        let digest = TokenDigest(token)
        let expiry = now + lifetime
        entries[digest] = Entry(transfer: transfer, role: role, expiry: expiry)
        digests[transfer, default: []].append(digest)
        byAge.append((digest, expiry))
        return true
    }

    /// Uses the token of `digest` up; nil when it is unknown, used, expired, or for the other half. The last uses
    /// nothing up.
    mutating func claim(_ digest: TokenDigest, as role: TransferRole, now: NIODeadline) -> TransferID? {
        guard let entry = entries[digest], entry.role == role, now < entry.expiry else { return nil }
        remove(digest, of: entry.transfer)
        return entry.transfer
    }

    /// Forgets the unused tokens of `transfer`, and says which they were.
    @discardableResult
    mutating func revoke(_ transfer: TransferID) -> [TokenDigest] {
        let unused = digests.removeValue(forKey: transfer) ?? []
        for digest in unused { entries[digest] = nil }
        return unused
    }

    /// Forgets what has expired.
    mutating func sweep(now: NIODeadline) {
        while let oldest = byAge.first, oldest.expiry <= now {
            byAge.removeFirst()
            if let entry = entries[oldest.digest] { remove(oldest.digest, of: entry.transfer) }
        }
    }

    private mutating func remove(_ digest: TokenDigest, of transfer: TransferID) {
        entries[digest] = nil
        digests[transfer]?.removeAll { $0 == digest }
        if digests[transfer]?.isEmpty == true { digests[transfer] = nil }
    }
}

/// The SHA-256 of a token: the only form in which the relay keeps one. An attacker who reads the store learns nothing
/// that opens a transfer, and a look-up by digest needs no comparison in constant time.
package struct TokenDigest: Hashable, Sendable {
    package let bytes: [UInt8]

    /// A digest that another node made; this node does not know of which token.
    package init(bytes: [UInt8]) { self.bytes = bytes }

    package init(_ token: Token) {
        self.bytes = Array(SHA256.hash(data: token.bytes))
    }
}
