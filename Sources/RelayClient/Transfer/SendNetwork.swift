// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// What a ``SendSession`` needs from outside.
protocol SendNetwork: Sendable {
    var relay: RelayURL { get }
    var reporter: Reporter { get }
    var interruption: Interruption { get }
    /// Where timers run.
    var timers: any EventLoop { get }
    /// Where a connection's messages come from, and are taken by a task that does not block; nil leaves that open.
    var executor: (any TaskExecutor)? { get }

    /// Connects and logs in after a pause.
    ///
    /// - Throws: ``ConnectionError``, or `CancellationError` after an interrupt.
    func line(after pause: TimeAmount?) async throws -> any ControlLine

    /// Begins to carry the content of `job` to where `start` says. `tell` hears everything that becomes of it.
    func upload(
        _ job: SendJob, _ start: ServerMessage.Start, tell: @escaping @Sendable (UploadEvent) -> Void
    ) -> any ContentUpload
}

extension RelayLink: SendNetwork {
    var executor: (any TaskExecutor)? { home }

    func line(after pause: TimeAmount?) async throws -> any ControlLine {
        if let pause { try await self.pause(pause) }
        return try await connect()
    }

    func upload(
        _ job: SendJob, _ start: ServerMessage.Start, tell: @escaping @Sendable (UploadEvent) -> Void
    ) -> any ContentUpload {
        StreamUpload(job, start, link: self, tell: tell)
    }
}
