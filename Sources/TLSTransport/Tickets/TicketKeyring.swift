// SPDX-License-Identifier: Apache-2.0

/// The keys that session tickets are sealed with (RFC 5077, section 4): the newest seals, all open.
///
/// A pure value of one to three generations. Servers with equal keyrings resume each other's sessions.
package struct TicketKeyring: Hashable, Sendable {
    /// One generation.
    package struct Key: Hashable, Sendable, CustomStringConvertible {
        /// Stands in the clear at the head of each ticket: 16 bytes.
        package let name: [UInt8]
        /// The key of AES-256-CBC: 32 bytes.
        package let encryption: [UInt8]
        /// The key of HMAC-SHA-256: 32 bytes.
        package let authentication: [UInt8]
        /// When it was made, in seconds of whichever clock the keyring is rotated by.
        package let created: Int64

        /// The lengths of the three, in bytes.
        package static let nameLength = 16
        package static let encryptionLength = 32
        package static let authenticationLength = 32

        /// Returns nil when one of the three is not of its length.
        package init?(name: [UInt8], encryption: [UInt8], authentication: [UInt8], created: Int64) {
            guard name.count == Self.nameLength, encryption.count == Self.encryptionLength,
                authentication.count == Self.authenticationLength
            else { return nil }
            self.init(unchecked: name, encryption, authentication, created: created)
        }

        /// A fresh key from the system's cryptographic generator.
        package static func random(created: Int64) -> Key {
            func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: .min ... .max) } }
            return Key(
                unchecked: bytes(nameLength), bytes(encryptionLength), bytes(authenticationLength), created: created)
        }

        private init(unchecked name: [UInt8], _ encryption: [UInt8], _ authentication: [UInt8], created: Int64) {
            self.name = name
            self.encryption = encryption
            self.authentication = authentication
            self.created = created
        }

        /// Nothing of the keys.
        package var description: String { "[redacted]" }
    }

    /// The generations, the newest first; never empty.
    package private(set) var keys: [Key]

    /// A keyring with its first generation.
    package init(_ key: Key) {
        keys = [key]
    }

    /// Returns nil unless there are one to three keys, each with a name of its own. The first is the newest.
    package init?(keys: [Key]) {
        guard (1...TLSDefaults.ticketGenerations).contains(keys.count), Set(keys.map(\.name)).count == keys.count else {
            return nil
        }
        self.keys = keys
    }

    /// Makes `key` the newest; the fourth generation is forgotten.
    package mutating func add(_ key: Key) {
        keys.removeAll { $0.name == key.name }
        keys.insert(key, at: 0)
        if keys.count > TLSDefaults.ticketGenerations { keys.removeLast() }
    }

    /// Whether the newest key is so old that there has to be another; also when its time makes no sense.
    package func isDue(at now: Int64) -> Bool {
        guard let newest = keys.first else { return true }
        return Self.age(of: newest, at: now) >= TLSDefaults.ticketRotation
    }

    /// Adds `fresh` if that is due, and forgets keys that would be gone if it had always been done in time.
    package mutating func rotate(at now: Int64, fresh: (Int64) -> Key) {
        guard isDue(at: now) else { return }
        add(fresh(now))
        let lifetime = TLSDefaults.ticketRotation * Int64(TLSDefaults.ticketGenerations)
        keys.removeAll { Self.age(of: $0, at: now) >= lifetime }
    }

    /// What seals new tickets.
    var newest: Key? { keys.first }

    /// The key called `name`, if its generation is still there, and whether it is the newest.
    func key(named name: some Sequence<UInt8>) -> (key: Key, isNewest: Bool)? {
        guard let index = keys.firstIndex(where: { $0.name.elementsEqual(name) }) else { return nil }
        return (keys[index], index == 0)
    }

    private static func age(of key: Key, at now: Int64) -> Int64 {
        let (age, overflows) = now.subtractingReportingOverflow(key.created)
        return overflows ? .max : age
    }
}
