// SPDX-License-Identifier: Apache-2.0

internal import Crypto
internal import FoundationEssentials
internal import WSProtocol

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

    /// The fields by which a request asks for a WebSocket with this key (RFC 6455, section 4.1), in their order.
    /// `Upgrade` and `Connection` are not among them: they are of every upgrade, and an HTTP client adds them itself.
    ///
    /// - Parameter subprotocol: the only one that is offered.
    package func requestFields(subprotocol: String) -> [(name: String, value: String)] {
        [("Sec-WebSocket-Key", text), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Protocol", subprotocol)]
    }

    /// What is wrong with an answer.
    package enum AnswerFault: Hashable, Sendable {
        /// It is not the answer of a WebSocket server to the request with this key.
        case notWebSocket
        /// It is, and the server speaks another subprotocol, or none.
        case otherSubprotocol
    }

    /// Checks the fields of an answer with status 101 (RFC 6455, section 4.1); nil when the connection is a WebSocket
    /// now. No extension has been offered, so none may be chosen.
    ///
    /// - Parameters:
    ///   - subprotocol: the one that the request offers.
    ///   - values: the values of the answer's fields of a name, which is in lower case.
    package func fault(subprotocol: String, values: (_ name: String) -> [String]) -> AnswerFault? {
        guard values("upgrade").map({ $0.lowercased() }) == ["websocket"],
            FieldList.members(of: values("connection")).contains("upgrade"),
            values("sec-websocket-accept") == [accept], values("sec-websocket-extensions").isEmpty
        else { return .notWebSocket }
        return values("sec-websocket-protocol") == [subprotocol] ? nil : .otherSubprotocol
    }
}
