// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// The tokens that have been handed out and not been used yet.
///
/// Each is bound to one transfer and one half of it, is good for one claim, and expires. All live equally long, so the
/// order of issue is the order of expiry, and sweeping looks at nothing that is still good.
package struct TokenLedger: Sendable {
    /// What one token is good for.
    package struct Entry: Hashable, Sendable {
        package var transfer: TransferID
        package var role: TransferRole
        package var expiry: NIODeadline

        package init(transfer: TransferID, role: TransferRole, expiry: NIODeadline) {
            self.transfer = transfer
            self.role = role
            self.expiry = expiry
        }
    }

    private let lifetime: TimeAmount
    private let capacity: Int
    /// The tokens that may still be claimed, and those that expired since the last ``sweep(now:)``.
    package private(set) var entries: [TokenDigest: Entry] = [:]
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
    package var count: Int { entries.count }

    /// Whether a token can be issued at `now`, when `others` are about to be.
    package mutating func hasRoom(beside others: Int = 0, now: NIODeadline) -> Bool {
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

    /// Uses the token of `digest` up; nil when it is unknown, used, expired, or for the other half. The last uses nothing up.
    package mutating func claim(_ digest: TokenDigest, as role: TransferRole, now: NIODeadline) -> TransferID? {
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
    package mutating func sweep(now: NIODeadline) {
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
