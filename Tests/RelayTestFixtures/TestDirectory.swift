// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import StreamRelay
import Synchronization
package import TransferBroker
package import WSProtocol

/// Keeps transfers for tests: mints pairs of tokens, uses each up once, remembers events.
package final class TestDirectory: TransferDirectory {
    private struct State {
        var tokens: [Token: (TransferID, TransferRole)] = [:]
        var events: [TransferID: [StreamEvent]] = [:]
        var waiters: [(TransferID, StreamEvent, CheckedContinuation<Void, Never>)] = []
    }
    private let state = Mutex(State())
    private let downloadNode: NodeID

    /// - Parameter downloadNode: where uploads are told that their downloads are.
    package init(downloadNode: NodeID = .alone) {
        self.downloadNode = downloadNode
    }

    package func mint() -> (TransferID, up: Token, down: Token) {
        let (transfer, up, down) = (TransferID.random(), Token.random(), Token.random())
        state.withLock { state in
            state.tokens[up] = (transfer, .upload)
            state.tokens[down] = (transfer, .download)
        }
        return (transfer, up, down)
    }

    package func claim(_ token: Token, as role: TransferRole, on loop: any EventLoop) -> EventLoopFuture<StreamClaim?> {
        let transfer = state.withLock { state -> TransferID? in
            guard let (transfer, expected) = state.tokens[token], expected == role else { return nil }
            state.tokens[token] = nil
            return transfer
        }
        let claim = transfer.map {
            StreamClaim(stream: StreamKey(home: .alone, transfer: $0), download: downloadNode)
        }
        return loop.makeSucceededFuture(claim)
    }

    package func streamChanged(_ stream: StreamKey, _ event: StreamEvent) {
        let transfer = stream.transfer
        let ready = state.withLock { state in
            state.events[transfer, default: []].append(event)
            let ready = state.waiters.filter { $0.0 == transfer && $0.1 == event }.map(\.2)
            state.waiters.removeAll { $0.0 == transfer && $0.1 == event }
            return ready
        }
        for waiting in ready { waiting.resume() }
    }

    /// What was reported, in order.
    package func events(of transfer: TransferID) -> [StreamEvent] {
        state.withLock { $0.events[transfer, default: []] }
    }

    package func wait(for transfer: TransferID, _ event: StreamEvent) async throws {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.events[transfer, default: []].contains(event) { return true }
                state.waiters.append((transfer, event, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
