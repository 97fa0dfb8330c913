// SPDX-License-Identifier: Apache-2.0

internal import Crypto
internal import NIOCore

/// A Lua script that Redis runs as one step. It is sent as a whole only when Redis does not have it.
package struct RedisScript: Hashable, Sendable {
    /// The script's text.
    package let source: String
    /// Its SHA-1 in hexadecimal: how Redis names scripts, and of no meaning for security.
    package let digest: String

    /// A script.
    package init(_ source: String) {
        self.source = source
        digest = Insecure.SHA1.hash(data: Array(source.utf8)).reduce(into: "") { text, byte in
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }

    /// The command that names the script.
    func byDigest(keys: [ByteBuffer], arguments: [ByteBuffer]) -> RedisCommand {
        command("EVALSHA", digest, keys, arguments)
    }

    /// The command that brings the script.
    func bySource(keys: [ByteBuffer], arguments: [ByteBuffer]) -> RedisCommand {
        command("EVAL", source, keys, arguments)
    }

    private func command(
        _ name: String, _ script: String, _ keys: [ByteBuffer], _ arguments: [ByteBuffer]
    ) -> RedisCommand {
        RedisCommand(name, [ByteBuffer(string: script), ByteBuffer(string: "\(keys.count)")] + keys + arguments)
    }
}
