// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// How a heartbeat looks among the messages of a channel: a NUL, a word, a number in hexadecimal.
enum HeartbeatText {
    /// A node's own messages begin with no NUL.
    private static let prefix = "\0heartbeat "

    /// The heartbeat of this nonce.
    static func text(_ nonce: UInt64) -> String { prefix + String(nonce, radix: 16) }

    /// The nonce, if the payload is a heartbeat.
    static func nonce(_ payload: ByteBuffer) -> UInt64? {
        let bytes = payload.readableBytesView
        guard bytes.count <= prefix.utf8.count + 16, bytes.starts(with: prefix.utf8) else { return nil }
        return UInt64(String(decoding: bytes.dropFirst(prefix.utf8.count), as: UTF8.self), radix: 16)
    }
}
