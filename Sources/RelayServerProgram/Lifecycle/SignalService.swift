// SPDX-License-Identifier: Apache-2.0

import Logging
import ServerSystem
import ServiceLifecycle
import UnixSignals

/// Tells the coordinator of each SIGTERM and SIGINT.
struct SignalService: Service {
    /// Trapped before the server says that it serves: a program that reads the process id may send a signal at once.
    let signals: UnixSignalsSequence
    let coordinator: DrainCoordinator
    let logger: Logger

    func run() async throws {
        for await signal in signals.cancelOnGracefulShutdown() {
            logger.notice("signal received", metadata: [LogKeys.signal: "\(signal)"])
            coordinator.signalled()
        }
    }
}
