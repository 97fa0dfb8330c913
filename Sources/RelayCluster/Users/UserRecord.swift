// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// A user as it stands in Redis under the name: `{"key","mac","prekey"?}`. ``UserRecords`` makes the MAC,
/// and tells whether it is good.
struct UserRecord: Hashable, Sendable, Codable {
    /// Of a record that an earlier version has written. Nothing reads it, but the MAC covers it.
    var exchangeKey: String?
    var key: SigningKey
    var prekey: PublishedPrekey?
    var mac: RecordMAC?

    init(_ user: User) {
        key = user.key
        prekey = user.prekey
    }

    /// Nil when `text` is not a user: any client of Redis may have written it.
    init?(_ text: String) {
        guard text.utf8.count <= Defaults.Routing.userLength,
            let record = StrictJSON.decode(Self.self, from: text.utf8)
        else {
            return nil
        }
        self = record
    }

    /// The JSON text. Empty never happens: all fields are texts and numbers.
    var text: String { (try? StrictJSON.encode(self)) ?? "" }

    /// The user of that name.
    func user(_ name: PeerName) -> User { User(name: name, key: key, prekey: prekey) }
}
