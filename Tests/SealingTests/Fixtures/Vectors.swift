// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import Testing
import WSProtocol

@testable import Sealing

/// Bytes as hexadecimal digits.
struct Hex: Codable, Hashable {
    let bytes: [UInt8]

    init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    init(from decoder: any Decoder) throws {
        bytes = HexBytes.read(try decoder.singleValueContainer().decode(String.self))
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(HexBytes.write(bytes))
    }
}

/// What the files in Tests/vectors/sealed hold: one was written by these tests, and one by the Python reader's.
struct Vectors: Codable, Hashable {
    struct Owner: Codable, Hashable {
        var name: String
        var identity: Hex
        var fingerprint: String
        var epoch: UInt32
        /// Of this epoch, and of those behind it.
        var seeds: [Hex]
        var prekey: Hex
        var signature: Hex
    }

    struct Sample: Codable, Hashable {
        var file: UInt64
        var block: UInt64
        var digest: Hex
    }

    struct Accept: Codable, Hashable {
        var file: UInt64
        var offset: UInt64
        var wants: Bool
        var samples: [Sample]
        var random: Hex
        var payload: Hex
    }

    struct Keys: Codable, Hashable {
        var content: Hex
        var senderNotes: Hex
        var receiverNotes: Hex
        var delivered: Hex
    }

    struct Note: Codable, Hashable {
        var isSenders: Bool
        var plaintext: Hex
        var payload: Hex
    }

    struct Delivered: Codable, Hashable {
        var digest: Hex
        var entries: UInt64
        var bytes: UInt64
        var payload: Hex
    }

    struct Entry: Codable, Hashable {
        var kind: String
        var name: String
        var parent: UInt32?
        var seconds: Int64
        var nanoseconds: UInt32
        var mode: UInt16?
        var size: UInt64?
        var target: Hex?
    }

    struct Due: Codable, Hashable {
        var size: UInt64?
        var offset: UInt64
    }

    struct Stream: Codable, Hashable {
        var plaintext: Hex
        var body: Hex
        var digest: Hex
        var entries: [Entry]
        /// What each file that is due brings.
        var files: [Hex]
        /// The files that are due where the manifest is not sent again.
        var due: [Due]
    }

    struct Attempt: Codable, Hashable {
        var time: UInt64
        var attempt: Hex
        var transfer: Hex
        var fresh: Hex
        var random: Hex
        var summary: String
        var offer: Hex
        var accept: Accept
        var keys: Keys
        var notes: [Note]
        var delivered: Delivered
        var stream: Stream
    }

    /// A chunk whose plaintext is the bytes 0 to 250, over and over.
    struct Chunk: Codable, Hashable {
        var content: Hex
        var number: UInt64
        var length: Int
        var sha256: Hex
    }

    /// A stream of the first attempt's transfer that is refused.
    struct Refused: Codable, Hashable {
        var why: String
        /// What the offer has announced instead of what the first attempt's did; nil where nothing was.
        var summary: String?
        var plaintext: Hex
        var code: String
    }

    /// What alice asks of bob.
    struct Request: Codable, Hashable {
        var time: UInt64
        var request: Hex
        var what: String
        var payload: Hex
    }

    var alice: Owner
    var bob: Owner
    var attempts: [Attempt]
    var requests: [Request]
    var chunks: [Chunk]
    var refused: [Refused]

    static func url(_ name: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("vectors/sealed/\(name).json")
    }

    static func read(_ name: String) throws -> Vectors {
        try #require(StrictJSON.decode(Vectors.self, from: try Data(contentsOf: url(name))))
    }
}

extension Vectors.Entry {
    init(_ entry: ManifestEntry) {
        self.init(
            kind: "\(entry.record)", name: entry.name.text, parent: entry.parent, seconds: entry.seconds,
            nanoseconds: entry.nanoseconds, mode: entry.mode, size: nil, target: nil
        )
        switch entry.kind {
        case .folder: break
        case .file(let size): self.size = size
        case .link(let target): self.target = Hex(target)
        }
    }

    func entry() throws -> ManifestEntry {
        let kind: ManifestEntry.Kind =
            switch kind {
            case "folder": .folder
            case "file": .file(size: size)
            default: .link(target: try #require(target).bytes)
            }
        return ManifestEntry(
            kind, name: try StreamFixture.name(name), parent: parent, seconds: seconds, nanoseconds: nanoseconds,
            mode: mode
        )
    }
}

extension Vectors.Owner {
    func identityKey() throws -> Curve25519.Signing.PrivateKey { try .init(rawRepresentation: identity.bytes) }

    func party() throws -> Party {
        let key = try identityKey().publicKey.rawRepresentation
        return Party(
            name: try #require(PeerName(rawValue: name)), identity: try #require(SigningKey(bytes: key))
        )
    }

    func ratchet() throws -> PrekeyRatchet {
        let (name, seed) = (try party().name, try #require(seeds.first).bytes)
        return try #require(
            PrekeyRatchet(name: name, epoch: Epoch(number: epoch), seed: SymmetricKey(data: seed))
        )
    }
}
