// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What is known about a transfer from its beginning, for showing it.
package struct TransferLabel: Hashable, Sendable {
    /// Which way the content goes, seen from here.
    package enum Direction: String, Hashable, Sendable {
        case send
        case receive
    }

    package var transfer: TransferID
    package let direction: Direction
    /// The name at the other end.
    package let peer: PeerName
    /// The file's name as the sender gave it: not yet fit for a terminal.
    package var name: String
    /// Bytes of content; nil where that is not known.
    package var size: UInt64?

    package init(transfer: TransferID, direction: Direction, peer: PeerName, name: String, size: UInt64?) {
        self.transfer = transfer
        self.direction = direction
        self.peer = peer
        self.name = name
        self.size = size
    }
}

/// What a whole content comes down to: both ends compute it, and compare.
package struct ContentSummary: Hashable, Sendable {
    /// Bytes.
    package let size: UInt64
    /// SHA-256, 32 bytes.
    package let digest: [UInt8]

    package init(size: UInt64, digest: [UInt8]) {
        self.size = size
        self.digest = digest
    }

    /// The digest in 64 lower-case hex digits.
    package var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

/// The 16 random bytes by which a receiver knows that an offer is an earlier one made again.
package enum OfferIdentityKind: FixedBytesKind { package static var length: Int { 16 } }

package typealias OfferIdentity = FixedBytes<OfferIdentityKind>
