// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import Sealing
import WSProtocol

/// How fast one thread seals and opens chunks, in GB of plaintext for each second of its CPU time:
///
///     swift run -c release SealingSpeed
///
/// To be compared with `openssl speed -bytes 65536 -evp aes-256-gcm` in the same minute.
@main struct SealingSpeed {
    static let chunks = 16_384

    static func main() throws {
        let keys = try attemptKeys()
        // What a program has done that reads sockets and files: see
        // docs/decisions/0041-chunks-are-sealed-by-swift-crypto.md.
        _ = [UInt8](repeating: 1, count: 1 << 20)
        for round in 1...5 {
            let (sealing, opening) = try measure(keys)
            print("round \(round): seal \(sealing) GB/s, open \(opening) GB/s")
        }
    }

    /// The plaintext is written to where it is sealed, and chunks come in pieces of 16 KiB, as TLS has them.
    private static func measure(_ keys: AttemptKeys) throws -> (seal: String, open: String) {
        var sealer = ChunkSealer(of: keys)
        var opener = ChunkOpener(of: keys)
        let content = ByteBuffer(repeating: 7, count: Chunk.plaintextLength)
        var plaintext = ByteBuffer()
        var (sealing, opening) = (0.0, 0.0)
        for _ in 0..<chunks {
            var start = seconds()
            sealer.write { buffer in _ = buffer.writeImmutableBuffer(content) }
            guard var sealed = try sealer.takeFull() else { continue }
            try sealed.cipher.seal(&sealed.buffer)
            sealing += seconds() - start
            start = seconds()
            while var piece = sealed.buffer.readSlice(length: min(16_384, max(1, sealed.buffer.readableBytes))) {
                guard let work = try opener.append(&piece) else { continue }
                plaintext.clear()
                try work.cipher.open(work.buffer, into: &plaintext)
                guard plaintext.readableBytes == Chunk.plaintextLength else { throw SealingError.cut }
            }
            opening += seconds() - start
        }
        let bytes = Double(chunks * Chunk.plaintextLength) / 1e9
        return (String(format: "%.2f", bytes / sealing), String(format: "%.2f", bytes / opening))
    }

    /// Both sides of an attempt, with random keys.
    private static func attemptKeys() throws -> AttemptKeys {
        let (alice, bob) = (Curve25519.Signing.PrivateKey(), Curve25519.Signing.PrivateKey())
        let time = UInt64(Date().timeIntervalSince1970 * 1_000)
        guard let sender = party("alice", alice), let receiver = party("bob", bob),
            let ratchet = PrekeyRatchet(
                name: receiver.name, epoch: Epoch(milliseconds: time), seed: SymmetricKey(size: .bits256)
            )
        else { throw SealingError.unusableKey }
        var generator = SystemRandomNumberGenerator()
        let parties = AttemptParties(attempt: .random(), sender: sender, receiver: receiver)
        let offer = try OfferSealing.seal(
            OfferSummary(names: ["file"], kind: .file), of: .random(), between: parties,
            to: ratchet.prekey(signedBy: bob), signedBy: alice, time: time, using: &generator
        )
        let opened = try OfferSealing.open(offer.payload, between: parties, with: ratchet, time: time)
        return try AcceptSealing.seal(Acceptance(), of: opened, signedBy: bob, using: &generator).keys
    }

    private static func party(_ name: String, _ key: Curve25519.Signing.PrivateKey) -> Party? {
        guard let name = PeerName(rawValue: name), let identity = SigningKey(bytes: key.publicKey.rawRepresentation)
        else { return nil }
        return Party(name: name, identity: identity)
    }

    private static func seconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
