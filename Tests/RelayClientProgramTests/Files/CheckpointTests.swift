// SPDX-License-Identifier: Apache-2.0

import NIOCore
import PrivateFiles
import Synchronization
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// When what came is made durable, and the journal says so: after a second, or 64 MiB, and not without need.
struct CheckpointTests {
    private static let mebibyte: UInt64 = 1024 * 1024

    /// Bytes, added up.
    private final class Sum: Sendable {
        private let sum = Mutex<Int64>(0)

        var value: Int64 { sum.withLock { $0 } }

        func add(_ count: Int64) { sum.withLock { $0 += count } }
    }

    let folder: ReceivedFolder

    init() throws { folder = try ReceivedFolder() }

    /// What the journal says is durable: after another boot, that is all that counts.
    private var durable: UInt64? {
        ReceivedParts(directory: folder.directory, options: ReceivedOptions(), boot: SystemBoot(identifier: [1]))
            .unfinished().first?.bytesHere
    }

    @Test func whatCameIsDurableAfterASecondOr64MiB() throws {
        let writtenBack = Sum()
        var calls = ResumedTreeTests.calls
        calls.startWriteBack = { _, _, length in
            writtenBack.add(length)
            return 0
        }
        let tree = try SentTree.file("big", [UInt8](repeating: 1, count: 200 * Int(Self.mebibyte)))
        let sink = try ReceivedParts(directory: folder.directory, options: ReceivedOptions(), calls: calls)
            .open(try tree.offer)
        _ = try sink.acceptance()
        for entry in tree.entries { try sink.take(entry) }
        var encoder = ManifestEncoder()
        var buffer = ByteBuffer()
        for entry in tree.entries { try encoder.write(entry, into: &buffer) }
        _ = try sink.takeManifest(encoder.soFar)
        _ = try sink.nextFile()
        let piece = ByteBuffer(repeating: 1, count: Int(Self.mebibyte))
        let start = NIODeadline.now()
        func after(_ time: TimeAmount, writing count: Int) throws -> UInt64? {
            for _ in 0..<count { try sink.write(piece) }
            try sink.checkpoint(now: start + time, isForced: false)
            return durable.map { $0 / Self.mebibyte }
        }
        #expect(try after(.zero, writing: 1) == 0)
        #expect(try after(.milliseconds(999), writing: 1) == 0)
        #expect(try after(.seconds(1), writing: 0) == 2)
        #expect(try after(.milliseconds(1_999), writing: 63) == 2)
        #expect(try after(.milliseconds(1_999), writing: 1) == 66)
        #expect(try after(.milliseconds(2_998), writing: 1) == 66)
        #expect(try after(.milliseconds(2_999), writing: 0) == 67)
        // The disk has begun to write long before.
        #expect(writtenBack.value == 64 * Int64(Self.mebibyte))
        sink.discard()
    }
}
