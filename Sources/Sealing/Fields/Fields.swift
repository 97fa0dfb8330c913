// SPDX-License-Identifier: Apache-2.0

/// Writes fields as section 1 of the format has them.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    init(_ label: SealingLabel? = nil) { bytes = label?.bytes ?? [] }

    mutating func integer(_ value: some FixedWidthInteger) {
        for shift in stride(from: value.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }

    /// `lp`: of at most 65,535 bytes, which the caller has seen to.
    mutating func short(_ value: some Collection<UInt8>) {
        integer(UInt16(truncatingIfNeeded: value.count))
        raw(value)
    }

    /// `lp32`.
    mutating func long(_ value: some Collection<UInt8>) {
        integer(UInt32(truncatingIfNeeded: value.count))
        raw(value)
    }
}

/// Reads them; each method returns nil, for good, once there is less than it needs.
struct FieldReader {
    private(set) var rest: ArraySlice<UInt8>

    init(_ bytes: some Sequence<UInt8>) { rest = Array(bytes)[...] }

    /// How many bytes have been read of `whole`.
    func position(in whole: [UInt8]) -> Int { whole.count - rest.count }

    mutating func raw(_ count: Int) -> [UInt8]? {
        guard count >= 0, count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value? {
        raw(Value.bitWidth / 8)?.reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    mutating func short() -> [UInt8]? { integer(UInt16.self).flatMap { raw(Int($0)) } }

    mutating func long(atMost limit: Int) -> [UInt8]? {
        guard let count = integer(UInt32.self), count <= limit else { return nil }
        return raw(Int(count))
    }
}

/// Random bytes of a generator, which has to be a cryptographic one outside tests.
enum RandomBytes {
    static func make(_ count: Int, using generator: inout some RandomNumberGenerator) -> [UInt8] {
        var writer = FieldWriter()
        while writer.bytes.count < count { writer.integer(generator.next()) }
        return Array(writer.bytes.prefix(count))
    }
}
