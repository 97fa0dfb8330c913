// SPDX-License-Identifier: Apache-2.0

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
