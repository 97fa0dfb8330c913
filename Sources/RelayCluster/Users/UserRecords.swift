// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import RelayNode
import TransferBroker
import WSProtocol

/// What nodes write about users, invitations and removals to Redis, and how they know it again: each value carries a
/// MAC (HMAC-SHA-256) under a key of the cluster's secret, which binds it to the name, or to the digest, that it stands
/// under. A client of Redis can put back what once was there, or take something away, but not make anything up.
///
/// That holds for one that sees each command, too, only because a node sends a MAC for nothing that it has not decided
/// on: what it has been asked for, and refuses, gets none.
package struct UserRecords: Sendable {
    private let key: SymmetricKey

    package init(_ secret: ClusterSecret) { key = secret.key(for: "relay user records v1") }

    /// What stands under the name of `user`.
    func text(of user: User) -> String { text(of: UserRecord(user), under: user.name) }

    func text(of record: UserRecord, under name: PeerName) -> String {
        var record = record
        record.mac = mac("user", name.rawValue, record.text)
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

    /// Whether a node of this cluster has written `text`, which stands under `digest`, as an invitation for `name`, or
    /// for any.
    func isInvitation(_ text: String, _ digest: InvitationDigest, for name: PeerName?) -> Bool {
        let name = name?.rawValue ?? ""
        guard text.hasPrefix("\(name) "), let mac = RecordMAC(rawValue: String(text.dropFirst(name.count + 1))) else {
            return false
        }
        return isGood(mac, "invitation", digest.rawValue, name)
    }

    /// What stands as the account of `name`.
    func account(_ account: UserAccount, of name: PeerName) -> String {
        // In Redis there is nothing but ASCII.
        let text = Base64URL.encode((try? StrictJSON.data(of: account)) ?? Data())
        return "\(mac("account", name.rawValue, text).rawValue) \(text)"
    }

    /// The account that `text`, which stands under `name`, says; nil when no node of this cluster has written it there.
    func account(of name: PeerName, _ text: String) -> UserAccount? {
        good(text, "account", name.rawValue).flatMap { StrictJSON.decode(UserAccount.self, from: $0) }
    }

    /// What stands as the note about an invitation, and what is read there.
    func note(_ note: String, about digest: InvitationDigest) -> String {
        let text = Base64URL.encode(Array(note.utf8))
        return "\(mac("note", digest.rawValue, text).rawValue) \(text)"
    }

    func note(about digest: InvitationDigest, _ text: String) -> String? {
        good(text, "note", digest.rawValue).map { String(decoding: $0, as: UTF8.self) }
    }

    /// What stands behind a MAC that is good.
    private func good(_ text: String, _ kind: String, _ place: String) -> [UInt8]? {
        guard text.utf8.count <= Defaults.Routing.userLength, let space = text.firstIndex(of: " "),
            let mac = RecordMAC(rawValue: String(text[..<space]))
        else { return nil }
        let value = String(text[text.index(after: space)...])
        return isGood(mac, kind, place, value) ? Base64URL.decode(value) : nil
    }

    /// What stands where an operator has removed `name`.
    func removal(of name: PeerName) -> String { mac("removed", name.rawValue, "").rawValue }

    /// Whether a node of this cluster has written `text` as the removal of `name`.
    func isRemoval(_ text: String, of name: PeerName) -> Bool {
        RecordMAC(rawValue: text).map { isGood($0, "removed", name.rawValue, "") } ?? false
    }

    /// What a MAC covers: the kind and the place, of which neither has a line feed, and the value.
    private func covered(_ kind: String, _ place: String, _ value: String) -> [UInt8] {
        Array("\(kind)\n\(place)\n\(value)".utf8)
    }

    /// The MAC of `value`.
    package func mac(_ kind: String, _ place: String, _ value: String) -> RecordMAC {
        RecordMAC(HMAC<SHA256>.authenticationCode(for: covered(kind, place, value), using: key))
    }

    /// Whether `mac` is that of `value`. How long it takes says nothing about where the two differ.
    package func isGood(_ mac: RecordMAC, _ kind: String, _ place: String, _ value: String) -> Bool {
        HMAC<SHA256>.isValidAuthenticationCode(mac.bytes, authenticating: covered(kind, place, value), using: key)
    }
}

/// The MAC of a record: 32 bytes in base64url.
package struct RecordMAC: Hashable, Sendable, ValidatedString {
    package let bytes: [UInt8]

    package var rawValue: String { Base64URL.encode(bytes) }

    package init?(rawValue: String) {
        guard rawValue.utf8.count <= 2 * SHA256.byteCount, let bytes = Base64URL.decode(rawValue),
            bytes.count == SHA256.byteCount
        else { return nil }
        self.bytes = bytes
    }

    fileprivate init(_ code: HashedAuthenticationCode<SHA256>) { bytes = Array(code) }
}
