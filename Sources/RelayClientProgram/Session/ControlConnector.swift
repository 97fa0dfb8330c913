// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// How to get a control connection, and data streams, again and again.
struct ControlConnector: ControlConnecting {
    let relay: RelayURL
    let dialer: Dialer
    let identity: Identity
    let reporter: Reporter
    let interrupt: InterruptSignal
    /// Where the control connection is, and all that is done for small contents but files and what a person sees: their
    /// cost is that of threads that wake each other.
    let home: EventLoopExecutor

    /// Everything that a session needs from outside.
    var environment: SessionEnvironment {
        SessionEnvironment(
            relay: relay, name: identity.name, connector: self, streams: HTTPStreams(connector: self),
            clock: EventLoopClock(loop: dialer.group.any()), reporter: reporter, interrupt: interrupt, executor: home
        )
    }

    func connect(after pause: TimeAmount?) async throws(ClientError) -> any ControlLine {
        if let pause { try await self.pause(pause) }
        return try await logIn()
    }

    /// Connects and logs in, once.
    ///
    /// - Throws: `connection`, or `interrupted`.
    func logIn(_ mode: LoginMode = .login) async throws(ClientError) -> ControlConnection {
        try await interrupt.bounded { () async throws(ClientError) in
            let connection: ControlConnection
            do throws(ConnectionError) {
                connection = try await ControlConnection.open(
                    relay, dialer: dialer.on(home.loop), identity: identity, mode: mode
                )
            } catch {
                throw .connection(error)
            }
            // Nothing waits for it any more: it must not stay logged in.
            guard !Task.isCancelled else {
                connection.abort()
                throw .interrupted
            }
            return connection
        }
    }

    /// Waits, unless the person interrupts or the task is cancelled: `interrupted`.
    func pause(_ amount: TimeAmount) async throws(ClientError) {
        let loop = dialer.group.any()
        try await interrupt.bounded { () async throws(ClientError) in
            do {
                try await loop.scheduleTask(in: amount) {}.futureResult.get()
            } catch {
                throw ClientError(error)
            }
        }
    }
}

/// Data streams over the relay's `/upload` and `/download`.
struct HTTPStreams: DataStreams {
    let connector: ControlConnector

    func upload(
        _ job: SendJob, _ start: ServerMessage.Start, tell: @escaping @Sendable (UploadEvent) -> Void
    ) -> any ContentUpload {
        HTTPUpload(job, start, connector: connector, tell: tell)
    }

    func download(_ request: DownloadRequest, tell: @escaping @Sendable (DownloadEvent) -> Void) -> Task<Void, Never> {
        let (label, token) = (request.label, request.start.token)
        let context = StreamContext(size: label.size, connector: connector) { tell(.report($0)) }
        let opening = StreamOpening(request.start, of: label.transfer, connector: connector, in: context)
        return Task(executorPreference: context.executor) {
            do throws(ClientError) {
                let stream = try await opening.run { target, dialer async throws(StreamError) in
                    try await DownloadStream.begun(target, token: token, dialer: dialer)
                } abort: { stream in
                    stream.abort()
                }
                defer { stream.abort() }
                context.report(.started(label))
                let downloader = Downloader(
                    stream: stream, sink: request.sink, size: label.size, limit: request.limit
                ) { bytes in
                    context.report(.progress(label.transfer, bytes: bytes))
                    request.progress(bytes)
                }
                let result = await withTaskCancellationHandler {
                    await downloader.result()
                } onCancel: {
                    stream.abort()
                }
                tell(.ended(.success(try result.get())))
            } catch {
                tell(.ended(.failure(error)))
            }
        }
    }
}
