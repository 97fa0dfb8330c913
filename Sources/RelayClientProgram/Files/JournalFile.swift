// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import TransferClient

/// The journal of a transfer's parts, which only grows: each record is written behind the last good one.
struct JournalFile {
    private let file: OpenFile
    private let calls: FileCalls
    private var writer: JournalWriter
    private var length: UInt64

    /// Begins a new journal in `file`, over whatever was in it.
    init(beginning file: OpenFile, calls: FileCalls) throws(SystemError) {
        self.file = file
        self.calls = calls
        writer = JournalWriter()
        length = 0
        try SystemError.check { calls.truncate(file.descriptor, 0) }
        try write(JournalCoding.firstLine)
    }

    /// Goes on behind what `replay` has found good.
    init(_ file: OpenFile, goingOn replay: JournalReplay, calls: FileCalls) throws(SystemError) {
        self.file = file
        self.calls = calls
        writer = replay.writer
        length = replay.length
        let length = Int64(clamping: length)
        try SystemError.check { calls.truncate(file.descriptor, length) }
    }

    /// Reads what `file` holds; nothing in it is changed.
    ///
    /// - Parameter limit: the bytes that are looked at.
    static func replay(_ file: OpenFile, limit: UInt64 = .max) throws(SystemError) -> JournalReplay {
        var replay = JournalReplay()
        var position: UInt64 = 0
        while position < limit {
            var buffer = ByteBuffer()
            let count = try file.read(into: &buffer, atMost: Defaults.journalRead, at: position)
            guard count > 0 else { break }
            replay.append(buffer)
            position += UInt64(count)
        }
        return replay
    }

    /// Writes a record, which may reach the disk later.
    mutating func append(_ record: JournalRecord) throws(SystemError) {
        var next = writer
        guard let bytes = next.encode(record) else { throw SystemError(code: EFBIG) }
        try write(bytes)
        writer = next
    }

    /// Waits until the disk has all of it.
    func sync() throws(SystemError) {
        try SystemError.check { calls.syncData(file.descriptor) }
    }

    private mutating func write(_ bytes: [UInt8]) throws(SystemError) {
        try calls.writeAll(ByteBuffer(bytes: bytes), to: file.descriptor, at: length)
        length += UInt64(bytes.count)
    }
}

/// One start of the system, within which what was written is there although the disk may not have it yet.
struct SystemBoot: Hashable, Sendable {
    /// Empty where the system does not say.
    let identifier: [UInt8]

    /// The start of the system that this process runs in.
    static let current = SystemBoot(identifier: read())

    /// Whether what `other` has written is there without the disk.
    func isSame(as other: [UInt8]) -> Bool { !identifier.isEmpty && identifier == other }

    private static func read() -> [UInt8] {
        guard let file = try? OpenFile("/proc/sys/kernel/random/boot_id", flags: O_RDONLY) else { return [] }
        var buffer = ByteBuffer()
        _ = try? file.read(into: &buffer, atMost: Defaults.bootIdentifier, at: 0)
        return Array(buffer.readableBytesView.filter { byte in byte > UInt8(ascii: " ") })
    }
}
