// SPDX-License-Identifier: Apache-2.0

internal import Crypto
internal import FoundationEssentials

/// The key of an opening handshake: what a server has to answer to it proves that it has read the request (RFC 6455,
/// sections 4.1 and 4.2.2).
package struct WebSocketKey: Hashable, Sendable {
    /// The value of `Sec-WebSocket-Key`: 16 bytes in base64.
    package let text: String

    /// Makes a random key.
    package init() { text = Data((0..<16).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString() }

    /// The key of a request; nil when it is not 16 bytes in base64.
    package init?(_ text: String) {
        guard Data(base64Encoded: text)?.count == 16 else { return nil }
        self.text = text
    }

    /// The value of `Sec-WebSocket-Accept`.
    package var accept: String {
        let digest = Insecure.SHA1.hash(data: Data((text + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Data(digest).base64EncodedString()
    }
}
