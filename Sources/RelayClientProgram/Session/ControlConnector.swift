// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// How to get a control connection, and data streams, again and again.
struct ControlConnector: ControlConnecting {
    let relay: RelayURL
    let dialer: Dialer
    let identity: Identity
    /// Who this client is to others, and whom it knows.
    let sealing: SealingParty
    /// The transfers that were begun and are not complete.
    let records: TransferRecords
    let reporter: Reporter
    let interrupt: InterruptSignal
    /// Where the control connection is, and all that is done for small contents but files and what a person sees: their
    /// cost is that of threads that wake each other.
    let home: EventLoopExecutor

    /// Everything that a session needs from outside.
    var environment: SessionEnvironment {
        SessionEnvironment(
            relay: relay, sealing: sealing, records: records, connector: self, streams: HTTPStreams(connector: self),
            clock: PatientClock(clock: EventLoopClock(loop: dialer.group.any())), reporter: reporter,
            interrupt: interrupt, executor: home
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
                    relay, dialer: dialer.on(home.loop), identity: identity, prekey: prekey(for: mode), mode: mode
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

    /// What this client publishes when it logs in; nil where its keys cannot be used, which the person is told, and
    /// then the relay keeps what it has.
    private func prekey(for mode: LoginMode) -> PublishedPrekey? {
        do {
            let (store, now) = (sealing.prekeys, sealing.time())
            let ratchet =
                switch mode {
                case .login: try store.current(name: sealing.name, now: now)
                case .register: try store.renewed(name: sealing.name, now: now)
                }
            return try ratchet.prekey(signedBy: sealing.signingKey).published
        } catch {
            reporter.report(.warning("no user can send to this profile now: \(ClientError(error).description)"))
            return nil
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
        _ request: UploadRequest, tell: @escaping @Sendable (UploadEvent) -> Void
    ) -> any ContentUpload {
        HTTPUpload(request, connector: connector, tell: tell)
    }

    func download(_ request: DownloadRequest, tell: @escaping @Sendable (DownloadEvent) -> Void) -> Task<Void, Never> {
        let (label, token) = (request.label, request.start.token)
        let context = StreamContext(size: label.size, connector: connector) { tell(.report($0)) }
        let opening = StreamOpening(request.start, of: label.transfer, connector: connector, in: context)
        return Task(executorPreference: context.executor) {
            do throws(ClientError) {
                if let error = try await BlockingWork.files.run({ request.begin() }) { throw error }
                let stream = try await opening.run { target, dialer async throws(StreamError) in
                    try await DownloadStream.begun(target, token: token, dialer: dialer)
                } abort: { stream in
                    stream.abort()
                }
                defer { stream.abort() }
                if !request.isSilent {
                    context.report(.started(label))
                    let bytes = request.sink.receivedBytes
                    if bytes > 0 { context.report(.resumed(label.transfer, bytes: bytes)) }
                }
                let downloader = Downloader(stream: stream, sink: request.sink, opening: request.opening) { bytes in
                    if !request.isSilent { context.report(.progress(label.transfer, bytes: bytes)) }
                    request.progress(bytes)
                } wants: { notes in
                    tell(.wants(notes))
                }
                let result = await withTaskCancellationHandler {
                    // It has little to do but to pass on what one thread has for another: on a thread of its own, both
                    // would wait for that one.
                    await withTaskExecutorPreference(context.executor ?? EventLoopExecutor(stream.loop)) {
                        await downloader.result()
                    }
                } onCancel: {
                    stream.abort()
                }
                try result.get()
                tell(.ended(.success(())))
            } catch {
                tell(.ended(.failure(error)))
            }
        }
    }
}
