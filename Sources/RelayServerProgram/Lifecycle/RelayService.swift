// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import ServiceLifecycle
import TransferBroker
import WSProtocol

/// Serves until it is time to stop, then ends what is left in order.
struct RelayService: Service {
    let parts: ServerParts
    let admin: AdminServer
    let metrics: MetricsListener?
    let coordinator: DrainCoordinator
    let loop: any EventLoop
    let logger: Logger

    func run() async throws {
        let coordinator = coordinator
        await withGracefulShutdownHandler {
            let reason = await coordinator.waitForStop()
            logger.notice("stopping", metadata: [LogKeys.outcome: "\(reason.rawValue)"])
        } onGracefulShutdown: {
            coordinator.drainRequested()
        }
        for listener in parts.listeners + parts.redirects { try? await listener.close() }
        // First, or the streams' transfers would end as if their clients had gone; and the other nodes hear why as long as
        // there are links.
        await parts.cutStreams()
        parts.broker.closeAllSessions(.goingAway)
        await waitForConnections()
        await parts.leaveCluster()
        await admin.close()
        await metrics?.close()
    }

    /// Gives what is being written a moment: an answer on its way to a client, the close of a session.
    private func waitForConnections() async {
        // Not a promise of the loop: the last connection may close when the loop is already gone.
        let (waiting, done) = AsyncStream.makeStream(of: Never.self)
        let deadline = loop.scheduleTask(in: .seconds(Defaults.Operations.closeTimeout)) { done.finish() }
        parts.whenEmpty { done.finish() }
        for await _ in waiting {}
        deadline.cancel()
    }
}
