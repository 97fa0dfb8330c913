// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import NIOCore
import NIOHTTP1
import TransferClient
import WSProtocol
import WebSocketTransport

/// The client's half of the upgrade to the control connection (RFC 6455, section 4.1), subprotocol included.
final class ControlUpgrader: NIOTypedHTTPClientProtocolUpgrader {
    typealias UpgradeResult = ControlUpgrade

    let supportedProtocol = "websocket"
    let requiredUpgradeHeaders: [String] = []

    /// The subprotocol that both sides speak.
    static let subprotocol = "relay.v1"

    private let key: String
    private let handler: @Sendable () -> ControlMessageHandler

    /// - Parameters:
    ///   - key: Sec-WebSocket-Key: 16 random bytes in base64.
    ///   - handler: makes what comes behind the WebSocket.
    init(key: String = ControlUpgrader.randomKey(), handler: @escaping @Sendable () -> ControlMessageHandler) {
        self.key = key
        self.handler = handler
    }

    func addCustom(upgradeRequestHeaders: inout HTTPHeaders) {
        upgradeRequestHeaders.add(name: "Sec-WebSocket-Key", value: key)
        upgradeRequestHeaders.add(name: "Sec-WebSocket-Version", value: "13")
        upgradeRequestHeaders.add(name: "Sec-WebSocket-Protocol", value: Self.subprotocol)
    }

    func shouldAllowUpgrade(upgradeResponse: HTTPResponseHead) -> Bool {
        let fields = upgradeResponse.headers
        return fields["Sec-WebSocket-Accept"] == [Self.accept(for: key)]
            && fields["Sec-WebSocket-Protocol"] == [Self.subprotocol]
            && fields["Sec-WebSocket-Extensions"].isEmpty
    }

    func upgrade(channel: any Channel, upgradeResponse: HTTPResponseHead) -> EventLoopFuture<ControlUpgrade> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            try WebSocketPipeline.install(on: pipeline, role: .client)
            try pipeline.addHandler(handler())
            return .done
        }
    }

    /// The value that proves the server has read the key (RFC 6455, section 4.2.2).
    static func accept(for key: String) -> String {
        let digest = Insecure.SHA1.hash(data: Data((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8))
        return Data(digest).base64EncodedString()
    }

    /// A fresh Sec-WebSocket-Key.
    static func randomKey() -> String {
        Data((0..<16).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString()
    }
}

/// What the relay answered to the upgrade.
enum ControlUpgrade: Sendable {
    /// The connection is a WebSocket now.
    case done
    /// It is not; the answer follows.
    case refused(EventLoopFuture<HTTPAnswer>)
}
