// SPDX-License-Identifier: Apache-2.0

/// One folder, file or link of a transfer.
package struct ManifestEntry: Hashable, Sendable {
    /// What it is.
    package enum Kind: Hashable, Sendable {
        case folder
        /// - size: nil when the sender does not know it.
        case file(size: UInt64?)
        /// - target: 1 to 4,095 bytes without NUL; where it leads is for the receiver to judge.
        case link(target: [UInt8])
    }

    package var kind: Kind
    package var name: EntryName
    /// The number of its folder among the entries, from 0; nil at the top.
    package var parent: UInt32?
    /// When it was modified: seconds since 1970.
    package var seconds: Int64
    /// The rest of that, below 10⁹.
    package var nanoseconds: UInt32
    /// The nine bits of permissions; nil when they are not to be kept.
    package var mode: UInt16?

    package init(
        _ kind: Kind, name: EntryName, parent: UInt32? = nil, seconds: Int64 = 0, nanoseconds: UInt32 = 0,
        mode: UInt16? = nil
    ) {
        self.kind = kind
        self.name = name
        self.parent = parent
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.mode = mode
    }

    private static let longestTarget = 4_095
    private static let permissions: UInt16 = 0o777
    private static let unknownSize = UInt64.max

    /// The kind of its record.
    var record: StreamRecordKind {
        switch kind {
        case .folder: .folder
        case .file: .file
        case .link: .link
        }
    }

    /// The body of its record; nil when a field has no form there.
    var body: [UInt8]? {
        guard nanoseconds < 1_000_000_000, mode ?? 0 <= Self.permissions, parent != .max else { return nil }
        var body = FieldWriter()
        body.integer(UInt8(mode == nil ? 0 : 1))
        body.integer(mode ?? 0)
        body.integer(seconds)
        body.integer(nanoseconds)
        body.integer(parent.map { $0 + 1 } ?? 0)
        body.short(name.bytes)
        switch kind {
        case .folder: break
        case .file(let size):
            guard size != Self.unknownSize else { return nil }
            body.integer(size ?? Self.unknownSize)
        case .link(let target):
            guard Self.isTarget(target) else { return nil }
            body.short(target)
        }
        return body.bytes
    }

    /// Reads the body of a record.
    ///
    /// - Parameter number: which entry it is, for what is said of a fault.
    init(_ record: StreamRecordKind, body: [UInt8], number: UInt64) throws(ManifestFault) {
        var reader = FieldReader(body)
        guard let flags = reader.integer(UInt8.self), flags <= 1, let mode = reader.integer(UInt16.self),
            flags == 1 ? mode <= Self.permissions : mode == 0, let seconds = reader.integer(Int64.self),
            let nanoseconds = reader.integer(UInt32.self), nanoseconds < 1_000_000_000,
            let parent = reader.integer(UInt32.self), let bytes = reader.short(),
            let kind = Self.readKind(record, &reader), reader.rest.isEmpty
        else { throw .fields(entry: number) }
        let name: EntryName
        do { name = try EntryName(bytes) } catch { throw .name(entry: number, Array(bytes.prefix(255)), error) }
        self.init(
            kind, name: name, parent: parent == 0 ? nil : parent - 1, seconds: seconds, nanoseconds: nanoseconds,
            mode: flags == 1 ? mode : nil
        )
    }

    private static func readKind(_ record: StreamRecordKind, _ reader: inout FieldReader) -> Kind? {
        switch record {
        case .folder: return .folder
        case .file: return reader.integer(UInt64.self).map { .file(size: $0 == unknownSize ? nil : $0) }
        case .link: return reader.short().flatMap { isTarget($0) ? .link(target: $0) : nil }
        case .manifestEnd, .data, .hole, .fileEnd, .unreadable, .padding, .end: return nil
        }
    }

    private static func isTarget(_ target: [UInt8]) -> Bool {
        (1...longestTarget).contains(target.count) && !target.contains(0)
    }
}
