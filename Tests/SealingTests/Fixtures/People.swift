// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

/// A person with an identity and prekeys, the same ones in every run.
struct Person {
    let party: Party
    let identity: Curve25519.Signing.PrivateKey
    var ratchet: PrekeyRatchet

    /// - Parameter number: what keys are made of; two numbers are two people.
    init(_ name: String, _ number: UInt8, time: UInt64 = Clock.november) throws {
        identity = try Curve25519.Signing.PrivateKey(rawRepresentation: Data(repeating: number, count: 32))
        party = Party(
            name: try #require(PeerName(rawValue: name)),
            identity: try #require(SigningKey(bytes: identity.publicKey.rawRepresentation))
        )
        ratchet = try #require(
            PrekeyRatchet(
                name: party.name, epoch: Epoch(milliseconds: time),
                seed: SymmetricKey(data: Data(repeating: number ^ 0x55, count: 32))
            )
        )
    }

    func prekey() throws -> Prekey { try ratchet.prekey(signedBy: identity) }
}

/// Times that tests happen at, in milliseconds since 1970.
enum Clock {
    static let day: UInt64 = 86_400_000
    /// 2026-11-28 12:00 UTC.
    static let november: UInt64 = 1_795_867_200_000
}

extension HexBytes {
    /// The bytes of hexadecimal digits.
    static func read(_ text: String) -> [UInt8] {
        let digits = text.utf8.compactMap { UInt8(String(UnicodeScalar($0)), radix: 16) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    /// The digits of bytes.
    static func write(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// Hexadecimal text.
enum HexBytes {}
