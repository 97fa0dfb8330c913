// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation

/// A certificate as an input describes it, in DER and signed: no input comes upon that by itself.
struct MadeCertificate {
    /// Whose key it is for, and whose has signed it: numbers of ``keys``.
    var key = 0
    var signer = 0
    /// A kind of string, and what stands in it, of the only name of the subject and of the issuer.
    var subject: [UInt8] = [0x0C, 0x61]
    var issuer: [UInt8] = [0x0C, 0x61]
    /// As they stand in ASN.1.
    var begins = Array("200101000000Z".utf8)
    var ends = Array("491231235959Z".utf8)
    /// Each a tag, and what stands in it.
    var names: [[UInt8]] = []
    /// Extensions as a whole: which one of ``extensions``, and its value.
    var others: [[UInt8]] = []
    /// A byte of it that is another, by its place from the end, and what it is changed by.
    var damage: (place: Int, change: UInt8)?

    /// The same ones each time.
    static let keys = (0..<4).map { number in
        Result { try Curve25519.Signing.PrivateKey(rawRepresentation: Data(repeating: UInt8(number) + 1, count: 32)) }
    }

    /// Where an authority's own data are, what the key may be used for, and names, as bytes of any kind.
    private static let extensions: [[UInt8]] = [
        [0x2B, 6, 1, 5, 5, 7, 1, 1], [0x55, 0x1D, 0x13], [0x55, 0x1D, 0x0F], [0x55, 0x1D, 0x11], [0x55, 0x1D, 0x23],
        [0x55, 0x1D, 0x0E],
    ]

    /// The key of the number as PKCS #8.
    static func pem(key: Int) throws -> String {
        let raw = try keys[key].get().rawRepresentation
        let content = value(0x30, [2, 1, 0] + ed25519 + value(4, value(4, Array(raw))))
        return pem(content, "PRIVATE KEY")
    }

    static func pem(_ content: [UInt8], _ what: String = "CERTIFICATE") -> String {
        let lines = Data(content).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
        return "-----BEGIN \(what)-----\n\(lines)\n-----END \(what)-----\n"
    }

    func encoded() throws -> [UInt8] {
        let publicKey = try Self.keys[key].get().publicKey.rawRepresentation
        var extensions = others.map { Self.extended(Int($0.first ?? 0) % Self.extensions.count, $0.dropFirst()) }
        if !names.isEmpty { extensions.append(Self.extended(3, Self.value(0x30, names.flatMap(Self.tagged))[...])) }
        let body = Self.value(
            0x30,
            Self.value(0xA0, [2, 1, 2]) + [2, 1, 1] + Self.ed25519 + Self.name(issuer)
                + Self.value(0x30, Self.time(begins) + Self.time(ends)) + Self.name(subject)
                + Self.value(0x30, Self.ed25519 + Self.value(3, [0] + publicKey))
                + (extensions.isEmpty ? [] : Self.value(0xA3, Self.value(0x30, extensions.flatMap { $0 }))))
        let signature = try Self.keys[signer].get().signature(for: body)
        var whole = Self.value(0x30, body + Self.ed25519 + Self.value(3, [0] + signature))
        if let damage { whole[whole.count - 1 - damage.place % whole.count] ^= damage.change }
        return whole
    }

    // MARK: - DER

    private static let ed25519: [UInt8] = [0x30, 5, 6, 3, 0x2B, 0x65, 0x70]

    private static func value(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        switch content.count {
        case ..<0x80: [tag, UInt8(content.count)] + content
        case ..<0x100: [tag, 0x81, UInt8(content.count)] + content
        default: [tag, 0x82, UInt8(truncatingIfNeeded: content.count >> 8), UInt8(content.count & 0xFF)] + content
        }
    }

    private static func tagged(_ bytes: [UInt8]) -> [UInt8] { value(bytes.first ?? 0x82, Array(bytes.dropFirst())) }

    private static func time(_ text: [UInt8]) -> [UInt8] { value(text.count < 15 ? 0x17 : 0x18, text) }

    private static func name(_ text: [UInt8]) -> [UInt8] {
        value(0x30, value(0x31, value(0x30, [6, 3, 0x55, 4, 3] + tagged(text))))
    }

    private static func extended(_ number: Int, _ content: ArraySlice<UInt8>) -> [UInt8] {
        value(0x30, value(6, extensions[number]) + value(4, Array(content)))
    }
}
