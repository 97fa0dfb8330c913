// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Opens one half of a transfer as ``OpeningMachine`` says, and tells the person when that takes more than one try.
struct StreamOpening: Sendable {
    private let connector: ControlConnector
    private let start: ServerMessage.Start
    private let transfer: TransferID
    private let begin = NIODeadline.now()
    private let context: StreamContext

    /// - Parameters:
    ///   - start: the relay's, which has just come.
    ///   - transfer: what it is shown as.
    ///   - context: where it is done.
    init(_ start: ServerMessage.Start, of transfer: TransferID, connector: ControlConnector, in context: StreamContext)
    {
        self.context = context
        self.start = start
        self.transfer = transfer
        self.connector = connector
    }

    /// Runs `open` until it succeeds or there is no use in it any more.
    ///
    /// - Parameter abort: closes a stream that comes when nothing waits for it any more.
    /// - Throws: `stream`, or `interrupted`.
    func run<Stream: Sendable>(
        _ open: @escaping @Sendable (RequestTarget, Dialer) async throws(StreamError) -> Stream,
        abort: @escaping @Sendable (Stream) -> Void
    ) async throws(ClientError) -> Stream {
        let path =
            switch start.role {
            case .upload: "upload"
            case .download: "download"
            }
        guard var target = connector.relay.resolve(start.url), let home = connector.relay.resolve(path) else {
            throw .stream(.badAddress)
        }
        if let rate = start.rate, rate > 0 { context.report(.notice(TransferText.limited(rate))) }
        var machine = OpeningMachine(target, home: home, expires: start.expires, now: begin)
        var generator = SystemRandomNumberGenerator()
        var isAway = false
        while true {
            let failure: StreamError
            do throws(ClientError) {
                let stream = try await once(target, open, abort)
                if isAway { context.report(.reconnected) }
                return stream
            } catch {
                guard case .stream(let error) = error, !Task.isCancelled else { throw error }
                failure = error
            }
            switch machine.failed(failure, now: .now(), using: &generator) {
            case .fail(let error): throw .stream(error)
            case .ask(let next, let pause, let attempt):
                isAway = true
                context.report(
                    .reconnecting(reason: failure.summary, attempt: attempt, pause: pause, transfer: transfer)
                )
                try await connector.pause(pause)
                target = next
            }
        }
    }

    private func once<Stream: Sendable>(
        _ target: RequestTarget,
        _ open: @escaping @Sendable (RequestTarget, Dialer) async throws(StreamError) -> Stream,
        _ abort: @escaping @Sendable (Stream) -> Void
    ) async throws(ClientError) -> Stream {
        try await connector.interrupt.bounded(on: context.executor) { () async throws(ClientError) in
            let stream: Stream
            do throws(StreamError) {
                stream = try await open(target, context.dialer)
            } catch {
                throw .stream(error)
            }
            guard !Task.isCancelled else {
                abort(stream)
                throw .interrupted
            }
            return stream
        }
    }
}

/// Where the connection and the tasks of one content run. A small content costs what its steps cost, most of it threads
/// that wake each other: everything but its file is on one event loop. A large one costs what its bytes cost: it may
/// use all threads, so that encryption, hashing and files have one each.
struct StreamContext: Sendable {
    /// Where its tasks run; nil leaves that open.
    let executor: EventLoopExecutor?
    /// Makes its connections.
    let dialer: Dialer
    /// Shows something to the person.
    let report: @Sendable (TransferReport) -> Void

    /// - Parameters:
    ///   - size: bytes of content; nil when that is not known.
    ///   - post: hands over what is to be shown: a terminal may block the thread that writes, never an event loop.
    init(size: UInt64?, connector: ControlConnector, post: @escaping @Sendable (TransferReport) -> Void) {
        if let size, size <= Defaults.smallContent {
            executor = connector.home
            dialer = connector.dialer.on(connector.home.loop)
            report = post
        } else {
            executor = nil
            dialer = connector.dialer
            report = connector.reporter.report
        }
    }
}
