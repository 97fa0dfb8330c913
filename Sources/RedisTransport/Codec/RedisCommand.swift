// SPDX-License-Identifier: Apache-2.0

private import CHiredis
package import NIOCore

/// A command and its arguments, as bytes. What it is called may be logged; its arguments never are.
package struct RedisCommand: Hashable, Sendable, CustomStringConvertible {
    /// The name and the arguments.
    package let arguments: [ByteBuffer]
    /// What the command is called.
    package let name: String

    /// A command with arguments of any bytes.
    package init(_ name: String, _ arguments: [ByteBuffer]) {
        self.name = name
        self.arguments = [ByteBuffer(string: name)] + arguments
    }

    /// A command whose arguments are texts.
    package init(_ name: String, _ arguments: String...) {
        self.init(name, arguments.map { ByteBuffer(string: $0) })
    }

    /// The bytes of all arguments together.
    package var length: Int { arguments.reduce(0) { $0 + $1.readableBytes } }

    /// The name alone.
    package var description: String { name }
}

/// hiredis' formatter: a command in, its bytes out. Arguments are bytes with a length, never parts of a format.
enum CommandWriter {
    /// The command as Redis reads it.
    ///
    /// - Throws: `tooLarge`.
    static func format(_ command: RedisCommand) throws(RedisError) -> ByteBuffer {
        let length = command.length
        guard length <= RedisDefaults.commandLength, command.arguments.count <= RedisDefaults.commandArguments else {
            throw RedisError(.tooLarge, "\(command.name) of \(length) bytes")
        }
        var joined = ByteBuffer()
        // One byte more, so that there is an address even for a last argument of no bytes.
        joined.reserveCapacity(length + 1)
        for argument in command.arguments { joined.writeImmutableBuffer(argument) }
        joined.writeInteger(UInt8(0))
        let lengths = command.arguments.map(\.readableBytes)
        let formatted = unsafe joined.withUnsafeReadableBytes { bytes in unsafe format(bytes, lengths) }
        guard let formatted else { throw RedisError(.tooLarge, "there is no memory for \(command.name)") }
        return formatted
    }

    private static func format(_ bytes: UnsafeRawBufferPointer, _ lengths: [Int]) -> ByteBuffer? {
        guard let base = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return nil }
        var offset = 0
        var pointers: [UnsafePointer<CChar>?] = unsafe lengths.map { length in
            defer { offset += length }
            return unsafe base + offset
        }
        var target: UnsafeMutablePointer<CChar>?
        let count = unsafe Int(redisFormatCommandArgv(&target, CInt(lengths.count), &pointers, lengths))
        guard count > 0, let target = unsafe target else { return nil }
        defer { unsafe redisFreeCommand(target) }
        return unsafe ByteBuffer(bytes: UnsafeRawBufferPointer(start: target, count: count))
    }
}
