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
