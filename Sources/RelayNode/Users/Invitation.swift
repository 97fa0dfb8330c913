// SPDX-License-Identifier: Apache-2.0

import Crypto
import TransferBroker
package import WSProtocol

/// The SHA-256 of an invitation's code, which is all that is kept of it.
package enum InvitationDigestKind: FixedBytesKind { package static var length: Int { 32 } }

package typealias InvitationDigest = FixedBytes<InvitationDigestKind>

/// A right to register one name, once, for a while.
package struct Invitation: Hashable, Sendable, Codable {
    /// Tells the invitation apart without knowing its code: a reader of the registry's file cannot use it.
    package var digest: InvitationDigest
    /// The only name it is good for; nil means any.
    package var name: PeerName?
    /// The first moment at which it is no longer good.
    package var expires: UnixTime
    /// What the operator wrote about it, for the user who uses it.
    package var note: String?

    package init(digest: InvitationDigest, name: PeerName?, expires: UnixTime, note: String? = nil) {
        self.digest = digest
        self.name = name
        self.expires = expires
        self.note = note
    }
}

extension InvitationCode {
    /// A fresh code from the system's cryptographic generator.
    package static func random() -> InvitationCode? {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    /// A fresh code from `generator`. None begins with a hyphen: on a command line it would look like an option.
    package static func random(using generator: inout some RandomNumberGenerator) -> InvitationCode? {
        while true {
            let bytes = (0..<Defaults.Users.invitationLength).map { _ in
                UInt8.random(in: .min ... .max, using: &generator)
            }
            let text = Base64URL.encode(bytes)
            if !text.hasPrefix("-") { return InvitationCode(rawValue: text) }
        }
    }

    /// What the registry keeps of it. Nil never happens: SHA-256 has 32 bytes.
    package var digest: InvitationDigest? { InvitationDigest(bytes: SHA256.hash(data: Array(rawValue.utf8))) }
}

/// A point in calendar time, in whole seconds since 1970-01-01 00:00:00 UTC.
///
/// For what has to outlive the process (an invitation's expiry). Everything else uses the monotonic clock.
package struct UnixTime: Hashable, Sendable, Comparable, Codable {
    package var seconds: Int64

    package static func < (left: UnixTime, right: UnixTime) -> Bool { left.seconds < right.seconds }

    /// `interval` seconds later; stays at the ends of the range instead of overflowing.
    func advanced(by interval: Int64) -> UnixTime {
        let (sum, overflow) = seconds.addingReportingOverflow(interval)
        return UnixTime(seconds: overflow ? (interval < 0 ? .min : .max) : sum)
    }

    package init(seconds: Int64) { self.seconds = seconds }

    package init(from decoder: any Decoder) throws {
        seconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(seconds)
    }
}
