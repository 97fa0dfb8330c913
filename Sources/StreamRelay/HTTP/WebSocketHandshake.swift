// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol
import WebSocketTransport

/// The server's half of a WebSocket opening handshake (RFC 6455, section 4.2).
package struct WebSocketHandshake: Hashable, Sendable {
    /// The subprotocol that was agreed on.
    package let subprotocol: String
    /// The value of `Sec-WebSocket-Accept`.
    package let accept: String
    /// The Host field: what a login's signature is made for.
    package let audience: String

    /// Checks an upgrade request, which has to offer `subprotocol`.
    package init(_ head: RequestHead, subprotocol: String = ProtocolDefaults.subprotocol) throws(HTTPError) {
        guard head.minorVersion == 1, let host = head.host, head.members(of: "upgrade").contains("websocket"),
            head.members(of: "connection").contains("upgrade")
        else {
            throw HTTPError(
                status: .upgradeRequired, code: "upgrade_required",
                message: "this resource is a WebSocket: send an upgrade request",
                fields: [.init(name: "Upgrade", value: "websocket"), .init(name: "Sec-WebSocket-Version", value: "13")]
            )
        }
        guard head.values(of: "sec-websocket-version") == ["13"] else {
            throw HTTPError(
                status: .upgradeRequired, code: "websocket_version",
                message: "this server speaks WebSocket version 13",
                fields: [.init(name: "Upgrade", value: "websocket"), .init(name: "Sec-WebSocket-Version", value: "13")]
            )
        }
        let keys = head.values(of: "sec-websocket-key")
        guard keys.count == 1, let key = keys.first.flatMap(WebSocketKey.init(_:)) else {
            throw .malformed("Sec-WebSocket-Key is not 16 bytes in base64")
        }
        guard head.members(of: "sec-websocket-protocol").contains(subprotocol) else {
            throw .malformed("the WebSocket subprotocol \(subprotocol) is not offered")
        }
        for origin in head.values(of: "origin") where !Self.isSame(origin, host: host) {
            throw HTTPError(
                status: .forbidden, code: "origin_refused", message: "pages of another site may not connect here"
            )
        }
        audience = host
        accept = key.accept
        self.subprotocol = subprotocol
    }

    /// Writes the `101` answer.
    package func writeAnswer(into buffer: inout ByteBuffer) {
        ResponseHead.write(
            .switchingProtocols,
            [
                .init(name: "Upgrade", value: "websocket"), .init(name: "Connection", value: "Upgrade"),
                .init(name: "Sec-WebSocket-Accept", value: accept),
                .init(name: "Sec-WebSocket-Protocol", value: subprotocol),
            ],
            into: &buffer
        )
    }

    private static func isSame(_ origin: String, host: String) -> Bool {
        origin.lowercased() == "https://" + host
    }
}
