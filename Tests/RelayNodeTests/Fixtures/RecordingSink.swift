// SPDX-License-Identifier: Apache-2.0

import Synchronization
import WSProtocol

@testable import RelayNode

/// What a session's sink was given.
enum SinkOutput: Hashable, Sendable {
    case message(ServerMessage)
    case close(WebSocketCloseCode)
}

/// Remembers everything it is given, in order.
final class RecordingSink: SessionSink {
    private let outputs = Mutex<[SinkOutput]>([])

    func send(_ message: ServerMessage) { outputs.withLock { $0.append(.message(message)) } }
    func close(_ code: WebSocketCloseCode) { outputs.withLock { $0.append(.close(code)) } }

    /// What has come so far; it is forgotten.
    func take() -> [SinkOutput] {
        outputs.withLock { outputs in
            defer { outputs = [] }
            return outputs
        }
    }

    /// The tokens among what has come so far; everything is forgotten.
    func takeTokens() -> [Token] {
        take().compactMap { if case .message(.start(let start)) = $0 { start.token } else { nil } }
    }
}
