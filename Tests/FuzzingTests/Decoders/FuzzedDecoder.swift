// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport

/// A decoder of bytes from outside, as the fuzzer and the replay of its corpus run it.
struct FuzzedDecoder: Sendable {
    /// What it is called on the command line; its corpus is `Tests/corpora/NAME.txt`.
    let name: String
    /// The longest input worth trying, in bytes.
    let longest: Int
    /// What inputs consist of, for who changes them.
    let form: InputForm
    /// The files whose lines its corpus has to reach, below `Sources`.
    let sources: [String]
    /// Decodes an input, and throws ``Broken`` when something does not hold that has to hold for any.
    let run: @Sendable (_ input: [UInt8]) throws -> Void

    init(
        _ name: String, longest: Int, of form: InputForm = .bytes, sources: [String],
        run: @escaping @Sendable ([UInt8]) throws -> Void
    ) {
        self.name = name
        self.longest = longest
        self.form = form
        self.sources = sources
        self.run = run
    }

    /// All of them.
    static let all: [FuzzedDecoder] =
        [HTTPDecoders.head, HTTPDecoders.body, HTTPDecoders.answers, ConnectionDecoder.request]
        + [WebSocketDecoder.frames]
        + [MessageDecoders.json, MessageDecoders.control, MessageDecoders.administration]
        + [RedisDecoder.replies, ClusterDecoders.link, ClusterDecoders.records, ClusterDecoders.tickets]
        + [ProxyHeaderDecoder.header, TLSDecoder.records]
        + [SealedDecoders.offers, SealedDecoders.notes, SealedDecoders.chunks, SealedDecoders.stream]
        + [ClientFileDecoders.journal, ClientFileDecoders.profile]
        + [ServerFileDecoders.registry, ConfigurationDecoders.server, ConfigurationDecoders.texts]
        + [HandoverDecoder.messages, CertificateDecoder.files, ClientStreamDecoder.answers]
        + [LinkStateDecoder.events, RedisStateDecoder.replies]
}

/// Something that has to hold for any input and does not hold for one.
struct Broken: Error, CustomStringConvertible {
    let description: String
}

/// Throws ``Broken`` unless `condition` is true.
func hold(_ condition: Bool, _ what: @autoclosure () -> String) throws(Broken) {
    guard condition else { throw Broken(description: what()) }
}

/// The pieces that a network may bring the same bytes in.
enum Pieces {
    /// All at once, byte by byte, and in pieces of lengths that the bytes choose.
    static func ways(_ bytes: [UInt8]) -> [[ByteBuffer]] {
        let step = bytes.count > 4_096 ? 7 : 1
        let single = stride(from: 0, to: bytes.count, by: step).map {
            ByteBuffer(bytes: bytes[$0..<min($0 + step, bytes.count)])
        }
        var generator = SeededGenerator(seed: UInt64(bytes.count) << 8 | UInt64(bytes.last ?? 0))
        var random: [ByteBuffer] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(.random(in: 1...max(1, min(64, bytes.count)), using: &generator))
            random.append(ByteBuffer(bytes: piece))
            rest = rest.dropFirst(piece.count)
        }
        return [[ByteBuffer(bytes: bytes)], single, random]
    }

    /// What `read` makes of each way, which has to be the same.
    static func same<Result: Equatable>(
        _ bytes: [UInt8], _ what: String, _ read: ([ByteBuffer]) throws -> Result
    ) throws -> Result? {
        let results = try ways(bytes).map(read)
        for (result, way) in zip(results, ["at once", "byte by byte", "in pieces"]) {
            try hold(result == results[0], "\(what): \(results[0]) at once, and \(result) \(way)")
        }
        return results.first
    }
}

/// Takes numbers and bytes from the front of an input that says how something is built.
struct InputReader {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next byte; 0 at the end.
    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// The next two, the higher one first.
    mutating func short() -> Int { Int(byte()) << 8 | Int(byte()) }

    /// At most so many bytes.
    mutating func bytes(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}
