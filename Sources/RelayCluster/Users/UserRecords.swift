// SPDX-License-Identifier: Apache-2.0

import Crypto
import RelayNode
import TransferBroker
import WSProtocol

/// What nodes write about users, invitations and removals to Redis, and how they know it again: each value carries a
/// MAC (HMAC-SHA-256) under a key of the cluster's secret, which binds it to the name, or to the digest, that it stands
/// under. A client of Redis can put back what once was there, or take something away, but not make anything up.
struct UserRecords: Sendable {
    private let key: SymmetricKey

    init(_ secret: ClusterSecret) { key = secret.key(for: "relay user records v1") }

    /// What stands under the name of `user`.
    func text(of user: User) -> String {
        var record = UserRecord(user)
        record.mac = mac("user", user.name.rawValue, record.text)
        return record.text
    }

    /// The user whom `text`, which stands under `name`, is about; nil when no node of this cluster has written it
    /// there.
    func user(_ name: PeerName, _ text: String) -> User? {
        guard var record = UserRecord(text), let mac = record.mac else { return nil }
        // Exactly what a node writes: nothing else in the text is left to be read in another way.
        guard record.text == text else { return nil }
        record.mac = nil
        return isGood(mac, "user", name.rawValue, record.text) ? record.user(name) : nil
    }

    /// What stands under the digest of an invitation for `name`, or for any.
    func invitation(_ digest: InvitationDigest, for name: PeerName?) -> String {
        "\(name?.rawValue ?? "") \(mac("invitation", digest.rawValue, name?.rawValue ?? "").rawValue)"
    }

    /// What stands where an operator has removed `name`.
    func removal(of name: PeerName) -> String { mac("removed", name.rawValue, "").rawValue }

    /// What a MAC covers: the kind and the place, of which neither has a line feed, and the value.
    private func covered(_ kind: String, _ place: String, _ value: String) -> [UInt8] {
        Array("\(kind)\n\(place)\n\(value)".utf8)
    }

    private func mac(_ kind: String, _ place: String, _ value: String) -> RecordMAC {
        RecordMAC(HMAC<SHA256>.authenticationCode(for: covered(kind, place, value), using: key))
    }

    private func isGood(_ mac: RecordMAC, _ kind: String, _ place: String, _ value: String) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(mac.bytes, authenticating: covered(kind, place, value), using: key)
    }
}

/// The MAC of a record: 32 bytes in base64url.
struct RecordMAC: Hashable, Sendable, ValidatedString {
    let bytes: [UInt8]

    var rawValue: String { Base64URL.encode(bytes) }

    init?(rawValue: String) {
        guard rawValue.utf8.count <= 2 * SHA256.byteCount, let bytes = Base64URL.decode(rawValue),
            bytes.count == SHA256.byteCount
        else { return nil }
        self.bytes = bytes
    }

    fileprivate init(_ code: HashedAuthenticationCode<SHA256>) { bytes = Array(code) }
}
