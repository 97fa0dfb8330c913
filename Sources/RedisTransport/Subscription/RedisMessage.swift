// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// What somebody published.
package struct RedisMessage: Hashable, Sendable {
    /// The channel it was published to.
    package let channel: String
    /// The bytes; anybody who can reach Redis may have written them.
    package let payload: ByteBuffer

    /// A message.
    package init(channel: String, payload: ByteBuffer) {
        self.channel = channel
        self.payload = payload
    }
}
