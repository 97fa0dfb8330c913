// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import Testing
import WSProtocol

@testable import Sealing

/// Everything that is the same with the same randomness is calculated again; the rest is opened.
@Suite struct VectorTests {
    static let files = ["swift", "python"]

    @Test(arguments: files) func fingerprintsAndPrekeysAreThoseOfTheVectors(_ file: String) throws {
        let vectors = try Vectors.read(file)
        for owner in [vectors.alice, vectors.bob] {
            let party = try owner.party()
            #expect(Fingerprint(of: party.identity).description == owner.fingerprint)
            var ratchet = try owner.ratchet()
            let prekey = try ratchet.prekey(signedBy: owner.identityKey())
            #expect(prekey.key == owner.prekey.bytes && prekey.signature == owner.signature.bytes)
            for (offset, seed) in owner.seeds.enumerated() {
                let time = UInt64(1_795_867_200_000) + UInt64(offset) * 2_629_800_000
                try ratchet.advance(to: time)
                #expect(ratchet.epoch.number == owner.epoch + UInt32(offset))
                #expect(ratchet.seed.withUnsafeBytes { Array($0) } == seed.bytes)
            }
        }
    }

    @Test(arguments: files) func offersAndAcceptancesOpenAndLeadToTheSameKeys(_ file: String) throws {
        let vectors = try Vectors.read(file)
        for attempt in vectors.attempts {
            let offer = try received(attempt, of: vectors)
            #expect(offer.time == attempt.time && offer.transfer.bytes == attempt.transfer.bytes)
            #expect(offer.summary == OfferSummary(Array(attempt.summary.utf8)))
            #expect(offer.random == attempt.random.bytes)
            let (acceptance, keys) = try AcceptSealing.open(attempt.accept.payload.bytes, to: sent(attempt, offer))
            #expect(acceptance.position == TransferPosition(file: attempt.accept.file, offset: attempt.accept.offset))
            #expect(acceptance.wantsByNote == attempt.accept.wants)
            #expect(
                acceptance.samples
                    == attempt.accept.samples.map {
                        SourceSample(file: $0.file, block: $0.block, digest: $0.digest.bytes)
                    }
            )
            let expected = attempt.keys
            #expect(
                keys.all
                    == [expected.content, expected.senderNotes, expected.receiverNotes, expected.delivered].map(\.bytes)
            )
        }
    }

    @Test(arguments: files) func notesAndDeliveredOpenToWhatWasSealed(_ file: String) throws {
        let vectors = try Vectors.read(file)
        for attempt in vectors.attempts {
            let keys = try keys(attempt, of: vectors)
            for side in NoteSide.allCases {
                var (opener, sealer) = (NoteSealing(of: side, with: keys), NoteSealing(of: side, with: keys))
                for note in attempt.notes where note.isSenders == (side == .sender) {
                    #expect(try opener.open(note.payload.bytes) == note.plaintext.bytes)
                    #expect(try sealer.seal(note.plaintext.bytes) == note.payload.bytes)
                }
            }
            let delivered = try DeliveredSealing.open(attempt.delivered.payload.bytes, with: keys)
            #expect(delivered.manifest == attempt.delivered.digest.bytes)
            #expect(delivered.entries == attempt.delivered.entries && delivered.bytes == attempt.delivered.bytes)
            #expect(try DeliveredSealing.seal(delivered, with: keys) == attempt.delivered.payload.bytes)
        }
    }

    @Test(arguments: files) func streamsAreSealedAndReadAlike(_ file: String) throws {
        let vectors = try Vectors.read(file)
        for attempt in vectors.attempts {
            let (stream, keys) = (attempt.stream, try keys(attempt, of: vectors))
            let body = try VectorWriter.seal(stream.plaintext.bytes, with: keys)
            #expect(body == stream.body.bytes)
            var opener = ChunkOpener(of: keys)
            var rest = ByteBuffer(bytes: stream.body.bytes)
            var plaintext: [UInt8] = []
            while rest.readableBytes > 0 {
                guard var work = try opener.append(&rest) else { continue }
                try work.cipher.open(&work.buffer)
                plaintext += Array(work.buffer.readableBytesView)
            }
            var last = try opener.finish()
            try last.cipher.open(&last.buffer)
            plaintext += Array(last.buffer.readableBytesView)
            #expect(plaintext == stream.plaintext.bytes)

            let offer = try received(attempt, of: vectors)
            let expectation =
                stream.entries.isEmpty
                ? StreamExpectation(goingOnWith: offer, manifest: stream.digest.bytes) : StreamExpectation(of: offer)
            let contents = try StreamFixture.read(
                plaintext, expectation, resumed: stream.due.map { ExpectedFile(size: $0.size, offset: $0.offset) }
            )
            #expect(try contents.entries == stream.entries.map { try $0.entry() })
            #expect(contents.files == stream.files.map(\.bytes) && contents.digest == stream.digest.bytes)
        }
    }

    @Test(arguments: files) func chunksOfAnyNumberAreSealedAlike(_ file: String) throws {
        for chunk in try Vectors.read(file).chunks {
            #expect(try VectorWriter.chunk(chunk.content.bytes, chunk.number, chunk.length) == chunk, "\(chunk.number)")
        }
    }

    @Test(arguments: files) func aMalformedStreamIsRefusedWithItsCode(_ file: String) throws {
        let vectors = try Vectors.read(file)
        let offer = try received(vectors.attempts[0], of: vectors)
        for refused in vectors.refused {
            let summary = try refused.summary.map { try #require(OfferSummary(Array($0.utf8)), "\(refused.why)") }
            let expectation = StreamExpectation(
                form: .manifest, transfer: offer.transfer, sender: offer.parties.sender.identity,
                entries: summary?.entries, bytes: summary?.bytes, summary: summary, digest: nil
            )
            let error = #expect(throws: SealingError.self, "\(refused.why)") {
                try StreamFixture.read(refused.plaintext.bytes, expectation)
            }
            #expect(error?.code?.rawValue == refused.code, "\(refused.why)")
        }
    }

    @Test(arguments: files) func requestsOpenToWhatWasAsked(_ file: String) throws {
        let vectors = try Vectors.read(file)
        for request in vectors.requests {
            let opened = try RequestSealing.open(
                request.payload.bytes, from: vectors.alice.party(), to: vectors.bob.party(),
                with: vectors.bob.ratchet(), time: request.time
            )
            #expect(opened.request.bytes == request.request.bytes && opened.time == request.time)
            #expect(opened.query == PullQuery(Array(request.what.utf8)))
        }
    }

    // MARK: - Both sides of an attempt

    private func parties(_ attempt: Vectors.Attempt, of vectors: Vectors) throws -> AttemptParties {
        AttemptParties(
            attempt: try #require(AttemptID(bytes: attempt.attempt.bytes)), sender: try vectors.alice.party(),
            receiver: try vectors.bob.party()
        )
    }

    private func received(_ attempt: Vectors.Attempt, of vectors: Vectors) throws -> ReceivedOffer {
        try OfferSealing.open(
            attempt.offer.bytes, between: parties(attempt, of: vectors), with: vectors.bob.ratchet(), time: attempt.time
        )
    }

    private func sent(_ attempt: Vectors.Attempt, _ offer: ReceivedOffer) throws -> SentOffer {
        let fresh = try ExchangeKeys.privateKey(seed: SymmetricKey(data: attempt.fresh.bytes))
        #expect(Array(fresh.publicKey.rawRepresentation) == offer.fresh)
        return SentOffer(
            payload: attempt.offer.bytes, parties: offer.parties, binding: offer.binding, fresh: fresh,
            random: attempt.random.bytes
        )
    }

    private func keys(_ attempt: Vectors.Attempt, of vectors: Vectors) throws -> AttemptKeys {
        let offer = try received(attempt, of: vectors)
        return try AcceptSealing.open(attempt.accept.payload.bytes, to: sent(attempt, offer)).keys
    }
}

/// Makes what Tests/vectors/sealed/swift.json holds, and writes it when RELAY_WRITE_VECTORS is set. All randomness in
/// it is fixed but for that of encapsulation, which the library does not let anyone choose: payloads, and what is
/// derived from them, are new each time.
@Suite struct VectorWriter {
    @Test func theFileHoldsWhatIsMade() throws {
        let made = try make()
        if ProcessInfo.processInfo.environment["RELAY_WRITE_VECTORS"] != nil {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try (encoder.encode(made) + Data("\n".utf8)).write(to: Vectors.url("swift"))
        }
        let kept = try Vectors.read("swift")
        #expect(kept.alice == made.alice && kept.bob == made.bob)
        #expect(kept.chunks == made.chunks && kept.refused == made.refused)
        #expect(kept.requests.map(\.what) == made.requests.map(\.what))
        for (kept, made) in zip(kept.attempts, made.attempts) {
            #expect(kept.fresh == made.fresh && kept.random == made.random && kept.accept.random == made.accept.random)
            #expect(kept.summary == made.summary && kept.stream.plaintext == made.stream.plaintext)
        }
    }

    private func make() throws -> Vectors {
        let (alice, bob) = (try Person("alice", 1), try Person("bob", 2))
        var vectors = Vectors(
            alice: try owner(alice, 1), bob: try owner(bob, 2), attempts: [], requests: try requests(alice, bob),
            chunks: [], refused: try refused()
        )
        vectors.attempts = [try whole(), try resumed()]
        let key = (0..<32).map { UInt8($0) }
        for (number, length) in [
            (0, 0), (0, 65_535), (0, 65_536), (1, 65_536), (1 << 20 - 1, 65_536), (1 << 20, 65_536), (1 << 21, 1),
        ] as [(UInt64, Int)] {
            vectors.chunks.append(try Self.chunk(key, number, length))
        }
        return vectors
    }

    private func owner(_ person: Person, _ number: UInt8) throws -> Vectors.Owner {
        var ratchet = person.ratchet
        let prekey = try person.prekey()
        let seeds = try (0..<5).map { month in
            try ratchet.advance(to: Clock.november + UInt64(month) * 2_629_800_000)
            return Hex(ratchet.seed.withUnsafeBytes { Array($0) })
        }
        return Vectors.Owner(
            name: person.party.name.rawValue, identity: Hex(person.identity.rawRepresentation),
            fingerprint: Fingerprint(of: person.party.identity).description, epoch: prekey.epoch.number, seeds: seeds,
            prekey: Hex(prekey.key), signature: Hex(prekey.signature)
        )
    }

    private func whole() throws -> Vectors.Attempt {
        let entries = try Self.entries.map { try $0.entry() }
        let summary = OfferSummary(
            names: ["empty", "notes.txt", "photos", "stream"], entries: UInt64(entries.count), kind: .several)
        let files = [Array("hello\n".utf8), [], [1, 0, 0, 0, 0, 0, 0, 2], Array("as long as it is".utf8)] as [[UInt8]]
        return try attempt(1, summary, Acceptance()) { attempt in
            let manifest = try StreamFixture.manifest(entries, in: attempt)
            var padding = ByteBuffer()
            StreamEncoder.writePadding(room: 100, into: &padding)
            let style = StreamFixture.Style(record: 5, hasHoles: true)
            let content = StreamFixture.content(files, style)
            return Vectors.Stream(
                plaintext: Hex(manifest.bytes + Array(padding.readableBytesView) + content), body: Hex([]),
                digest: Hex(manifest.digest), entries: Self.entries, files: files.map(Hex.init), due: []
            )
        }
    }

    private func resumed() throws -> Vectors.Attempt {
        let samples = [SourceSample(file: 0, block: 1, content: [UInt8](repeating: 7, count: 65_536))]
        let position = TransferPosition(file: 1, offset: 3)
        let acceptance = Acceptance(position: position, wantsByNote: true, samples: samples)
        return try attempt(2, Attempt.summary, acceptance) { _ in
            let digest = [UInt8](repeating: 9, count: 32)
            var head = ByteBuffer()
            StreamEncoder.writeDigest(digest, into: &head)
            let files = [[4, 5], [], [6]] as [[UInt8]]
            return Vectors.Stream(
                plaintext: Hex(Array(head.readableBytesView) + StreamFixture.content(files)), body: Hex([]),
                digest: Hex(digest), entries: [], files: files.map(Hex.init),
                due: [.init(size: 5, offset: 3), .init(size: 0, offset: 0), .init(size: nil, offset: 0)]
            )
        }
    }

    private static let entries = [
        Vectors.Entry(kind: "folder", name: "empty", seconds: -1, nanoseconds: 999_999_999),
        Vectors.Entry(kind: "file", name: "notes.txt", seconds: 1_795_867_200, nanoseconds: 0, mode: 0o640, size: 6),
        Vectors.Entry(kind: "folder", name: "photos", seconds: 1, nanoseconds: 2, mode: 0o755),
        Vectors.Entry(kind: "link", name: "a", parent: 2, seconds: 0, nanoseconds: 0, target: Hex("../notes.txt".utf8)),
        Vectors.Entry(kind: "folder", name: "ä", parent: 2, seconds: 0, nanoseconds: 0),
        Vectors.Entry(kind: "file", name: ".x", parent: 4, seconds: 0, nanoseconds: 0, size: 0),
        Vectors.Entry(kind: "file", name: "日本", parent: 4, seconds: 0, nanoseconds: 0, size: 8),
        Vectors.Entry(kind: "file", name: "stream", seconds: 0, nanoseconds: 0),
    ]

    private func attempt(
        _ number: UInt8, _ summary: OfferSummary, _ acceptance: Acceptance,
        _ stream: (Attempt) throws -> Vectors.Stream
    ) throws -> Vectors.Attempt {
        let attempt = try Attempt(number)
        var generator = attempt.generator
        let offer = try OfferSealing.seal(
            summary, of: attempt.transfer, between: attempt.parties, to: attempt.bob.prekey(),
            signedBy: attempt.alice.identity, time: Clock.november, using: &generator
        )
        let opened = try OfferSealing.open(
            offer.payload, between: attempt.parties, with: attempt.bob.ratchet, time: Clock.november
        )
        var copy = generator
        let accept = try AcceptSealing.seal(acceptance, of: opened, signedBy: attempt.bob.identity, using: &generator)
        let keys = accept.keys.all.map(Hex.init)
        var content = try stream(attempt)
        content.body = Hex(try Self.seal(content.plaintext.bytes, with: accept.keys))
        let delivered = DeliveredSummary(manifest: content.digest.bytes, entries: 7, bytes: 1 << 40)
        return Vectors.Attempt(
            time: Clock.november, attempt: Hex(attempt.parties.attempt.bytes), transfer: Hex(attempt.transfer.bytes),
            fresh: Hex(offer.fresh.seedRepresentation), random: Hex(offer.random),
            summary: String(decoding: try #require(summary.encoded), as: UTF8.self), offer: Hex(offer.payload),
            accept: Vectors.Accept(
                file: acceptance.position.file, offset: acceptance.position.offset, wants: acceptance.wantsByNote,
                samples: acceptance.samples.map { .init(file: $0.file, block: $0.block, digest: Hex($0.digest)) },
                random: Hex(RandomBytes.make(32, using: &copy)), payload: Hex(accept.payload)
            ),
            keys: Vectors.Keys(content: keys[0], senderNotes: keys[1], receiverNotes: keys[2], delivered: keys[3]),
            notes: try notes(accept.keys),
            delivered: Vectors.Delivered(
                digest: content.digest, entries: 7, bytes: 1 << 40,
                payload: Hex(try DeliveredSealing.seal(delivered, with: accept.keys))
            ),
            stream: content
        )
    }

    private func notes(_ keys: AttemptKeys) throws -> [Vectors.Note] {
        var (sender, receiver) = (NoteSealing(of: .sender, with: keys), NoteSealing(of: .receiver, with: keys))
        let wanted = [
            WantedNote(runs: [WantedRun(skip: 0, take: 1)], isLast: false),
            WantedNote(runs: [WantedRun(skip: 1, take: 1)], isLast: true),
        ].map(\.encoded)
        return try wanted.map { .init(isSenders: false, plaintext: Hex($0), payload: Hex(try receiver.seal($0))) }
            + [[], [255]].map { .init(isSenders: true, plaintext: Hex($0), payload: Hex(try sender.seal($0))) }
    }

    private func requests(_ alice: Person, _ bob: Person) throws -> [Vectors.Request] {
        let paths = [try PullPath("a"), try PullPath("b/\u{e9}")]
        let transfer = try #require(CarriedTransfer(bytes: [UInt8](repeating: 7, count: 16)))
        let broken = BrokenTransfer(transfer: transfer, manifest: [UInt8](repeating: 8, count: 32))
        let queries = [
            PullQuery.list(.top), .list(try PullPath("photos/2024")), .fetch(paths), .fetch(paths, resuming: broken),
        ]
        return try queries.enumerated().map { index, query in
            let request = try #require(PullRequest(bytes: [UInt8](repeating: UInt8(index), count: 16)))
            let payload = try RequestSealing.seal(
                query, as: request, from: alice.party, to: bob.party, bob.prekey(), signedBy: alice.identity,
                time: Clock.november
            )
            let what = String(decoding: try #require(query.encoded), as: UTF8.self)
            return Vectors.Request(time: Clock.november, request: Hex(request.bytes), what: what, payload: Hex(payload))
        }
    }

    private func refused() throws -> [Vectors.Refused] {
        let (attempt, name) = (try Attempt(1), try StreamFixture.name("a"))
        let good = try StreamFixture.manifest([ManifestEntry(.file(size: 1), name: name)], in: attempt).bytes
        let twice = [1] + Array(good[1..<38]) + Array(good[1..<38])
        let bad = { (name: [UInt8]) in
            let entry = ManifestEntry(.folder, name: try StreamFixture.name(String(repeating: "x", count: name.count)))
            let body = try #require(entry.body)
            return [1] + StreamEncoder.record(.folder, body.dropLast(name.count) + name)
        }
        let end = [24, 0, 0, 0, 0] as [UInt8]
        return try [
            ("two equal names", twice), ("..", bad(Array("..".utf8))), ("a slash", bad(Array("/a".utf8))),
            ("a zero byte", bad([0x61, 0])), ("not UTF-8", bad([0xC3])),
            ("a kind that is not listed", [1, 5, 0, 0, 0, 0]),
            ("a long record", [1, 1, 0, 1, 0, 1]),
            ("a signature that does not hold", good.dropLast() + [good.last.map { $0 ^ 1 } ?? 0]),
            ("the other form", [2] + [UInt8](repeating: 0, count: 32)),
            ("content before the end of the manifest", [1] + end),
        ].map { Vectors.Refused(why: $0.0, plaintext: Hex($0.1), code: "protocol_error") }
            + [
                ("another name than was announced", #"{"kind":"file","names":["b"]}"#),
                ("other entries than were announced", #"{"entries":2,"kind":"several","names":["a"]}"#),
                ("other bytes than were announced", #"{"bytes":2,"kind":"file","names":["a"]}"#),
                ("more than was announced", #"{"kind":"several","names":[]}"#),
                ("less than was announced", #"{"kind":"several","names":["a","b"]}"#),
                ("a file where a folder was announced", #"{"kind":"folder","names":["a"]}"#),
            ].map {
                let stream = good + StreamFixture.content([[1]])
                return Vectors.Refused(why: $0.0, summary: $0.1, plaintext: Hex(stream), code: "protocol_error")
            }
    }

    static func seal(_ plaintext: [UInt8], with keys: AttemptKeys) throws -> [UInt8] {
        var sealer = ChunkSealer(of: keys)
        var rest = ByteBuffer(bytes: plaintext)
        var body: [UInt8] = []
        while rest.readableBytes > 0 {
            sealer.append(&rest)
            guard var work = try sealer.takeFull() else { continue }
            try work.cipher.seal(&work.buffer)
            body += Array(work.buffer.readableBytesView)
        }
        var last = try sealer.finish()
        try last.cipher.seal(&last.buffer)
        return body + Array(last.buffer.readableBytesView)
    }

    static func chunk(_ content: [UInt8], _ number: UInt64, _ length: Int) throws -> Vectors.Chunk {
        var numbers = ChunkNumbers(content: SymmetricKey(data: content), first: number)
        var buffer = ByteBuffer(bytes: (0..<length).map { UInt8($0 % 251) })
        try numbers.next(plaintext: length).seal(&buffer)
        let digest = SHA256.hash(data: Array(buffer.readableBytesView))
        return Vectors.Chunk(content: Hex(content), number: number, length: length, sha256: Hex(digest))
    }
}
