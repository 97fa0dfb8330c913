// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TransferBroker
import WSProtocol

/// The claims that other nodes have been asked about and have not answered yet. For any thread.
///
/// A claim is asked once: whether a question that got no answer was heard cannot be known, and a token is not used
/// twice.
final class PendingClaims: Sendable {
    private struct Question: Sendable {
        var home: NodeID
        var answer: EventLoopPromise<StreamClaim?>
    }

    private struct State {
        var lastID: UInt64 = 0
        var open: [UInt64: Question] = [:]
    }

    private let state = Mutex(State())

    /// Notes a question to `home`, which `ask` has to send under the id it is given. The answer fails with
    /// ``ClusterUnavailable`` when none comes in ``Defaults/Broker/claimTimeout``.
    func ask(
        _ home: NodeID, on loop: any EventLoop, ask: (_ id: UInt64) -> Void
    ) -> EventLoopFuture<StreamClaim?> {
        let promise = loop.makePromise(of: StreamClaim?.self)
        let id = state.withLock { state -> UInt64? in
            guard state.open.count < Defaults.Broker.openClaims else { return nil }
            state.lastID += 1
            state.open[state.lastID] = Question(home: home, answer: promise)
            return state.lastID
        }
        guard let id else {
            promise.fail(ClusterUnavailable.tooMany)
            return promise.futureResult
        }
        let deadline = loop.scheduleTask(in: Defaults.Broker.claimTimeout) {
            self.close(id, .failure(ClusterUnavailable.noAnswer))
        }
        promise.futureResult.whenComplete { _ in deadline.cancel() }
        ask(id)
        return promise.futureResult
    }

    /// `node` answers question `id`. An answer of another node than the one that was asked means nothing.
    func answered(_ id: UInt64, by node: NodeID, transfer: TransferID?, download: NodeID?, users: [PeerName]) {
        guard state.withLock({ $0.open[id]?.home == node }) else { return }
        guard let transfer, let download else { return close(id, .success(nil)) }
        let owners = users.map { Owner(name: $0, address: nil) }
        close(
            id,
            .success(
                StreamClaim(stream: StreamKey(home: node, transfer: transfer), download: download, owners: owners)))
    }

    /// Nothing will be answered by `node` any more.
    func lost(_ node: NodeID) {
        let ids = state.withLock { $0.open.filter { $0.value.home == node }.map(\.key) }
        for id in ids { close(id, .failure(ClusterUnavailable.noAnswer)) }
    }

    private func close(_ id: UInt64, _ result: Result<StreamClaim?, any Error>) {
        state.withLock { $0.open.removeValue(forKey: id) }?.answer.completeWith(result)
    }
}
