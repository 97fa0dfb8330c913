// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import TLSTransport
import TransferBroker
import WSProtocol

/// A ticket keyring as it stands in Redis: AES-256-GCM under a key of the cluster's secret, in base64url. The clear
/// bytes are, for each generation, the newest first: name (16), AES key (32), HMAC key (32), time of making (8,
/// big-endian).
struct SealedTickets: Sendable {
    private let key: SymmetricKey
    private static let binding = Array("{relay}:tickets".utf8)
    private static let keyLength =
        TicketKeyring.Key.nameLength + TicketKeyring.Key.encryptionLength + TicketKeyring.Key.authenticationLength + 8

    init(_ secret: ClusterSecret) { key = secret.key(for: "relay ticket keys v1") }

    /// Nil never happens: the key has its length.
    func seal(_ keyring: TicketKeyring) -> String? {
        var clear: [UInt8] = []
        for key in keyring.keys {
            clear += key.name + key.encryption + key.authentication
            clear += (0..<8).map { UInt8(truncatingIfNeeded: key.created >> (56 - 8 * Int64($0))) }
        }
        let box = try? AES.GCM.seal(clear, using: key, authenticating: Self.binding)
        return box?.combined.map { Base64URL.encode($0) }
    }

    /// Nil when it was sealed under another secret, or is no keyring.
    func open(_ text: String) -> TicketKeyring? {
        guard text.utf8.count <= Defaults.Routing.sealedTicketsLength, let sealed = Base64URL.decode(text),
            let box = try? AES.GCM.SealedBox(combined: sealed),
            let clear = try? AES.GCM.open(box, using: key, authenticating: Self.binding),
            !clear.isEmpty, clear.count.isMultiple(of: Self.keyLength)
        else { return nil }
        var keys: [TicketKeyring.Key] = []
        var rest = Array(clear)[...]
        func take(_ count: Int) -> [UInt8] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        while !rest.isEmpty {
            let name = take(TicketKeyring.Key.nameLength)
            let encryption = take(TicketKeyring.Key.encryptionLength)
            let authentication = take(TicketKeyring.Key.authenticationLength)
            let created = take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            guard
                let key = TicketKeyring.Key(
                    name: name, encryption: encryption, authentication: authentication,
                    created: Int64(bitPattern: created)
                )
            else { return nil }
            keys.append(key)
        }
        return TicketKeyring(keys: keys)
    }
}
