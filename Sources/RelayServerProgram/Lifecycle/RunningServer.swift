// SPDX-License-Identifier: Apache-2.0

import Dispatch
import RelayNode
import ServerSystem
import WSProtocol

/// The server of this process, as operators ask it.
struct RunningServer: ServerControl {
    let figures: ServerFigures
    let coordinator: DrainCoordinator
    let transfers: TransferService
    let reloader: Reloader
    /// Nil until all parts are made: the admin socket is one of those that it hands over.
    let handover: Replaceable<HandoverServer?>

    func status() async -> ServerStatus { await figures.status() }

    func top(limit: Int) async -> ServerTop { await figures.top(limit: limit) }

    func drain() { coordinator.drainRequested() }

    func nameRemoved(_ name: PeerName) { transfers.broker.nameRemoved(name) }

    func reload() throws(OperatorError) -> ReloadOutcome { try reloader.reload() }

    /// On a thread of its own: it waits for another process.
    func restart() async throws(OperatorError) -> Int32 {
        guard let handover = handover.current else {
            throw OperatorError(.unavailable, "the server is not ready yet: try again")
        }
        let result: Result<Int32, OperatorError> = await withCheckedContinuation { continuation in
            DispatchQueue(label: "relay.restart").async {
                continuation.resume(returning: Result { () throws(OperatorError) in try handover.restart() })
            }
        }
        return try result.get()
    }

    func restartAnswered() { handover.current?.replied() }
}
