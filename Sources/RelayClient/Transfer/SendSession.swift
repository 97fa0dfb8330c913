// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Sends contents one after the other, on one control connection as long as it lasts.
struct SendSession {
    private let link: RelayLink
    /// When to stop connecting and waiting for somebody to accept; nothing bounds the transfer itself.
    private let patience: TimeAmount
    private var connection: ControlConnection?
    private var queue = EventQueue<SendAttempt.Event>()

    init(link: RelayLink, patience: TimeAmount) {
        self.link = link
        self.patience = patience
    }

    /// Sends one content, as often as it takes until it begins to flow.
    ///
    /// - Returns: what was delivered, as the receiver has confirmed it.
    /// - Throws: ``TransferFailure``, ``ConnectionError``, ``FileError``, ``CommandError``, or `CancellationError`.
    mutating func send(_ job: SendJob) async throws -> ContentSummary {
        let deadline = NIODeadline.now() + patience
        defer { job.source.close() }
        var backOff = BackOff()
        var generator = SystemRandomNumberGenerator()
        while true {
            let connection = try await connected(until: deadline)
            guard
                var attempt = SendAttempt(
                    job: job, link: link, connection: connection, queue: queue, deadline: deadline
                )
            else {
                throw CommandError("the name of the file is too long; rename it", status: .noInput)
            }
            let result = await attempt.run()
            if case .delivered(let payload) = result.outcome { return try Self.confirmed(payload, by: job, result) }
            let pause = backOff.next(using: &generator)
            guard Self.isWorthAnotherTry(result), NIODeadline.now() + pause < deadline else {
                throw failure(of: job, result)
            }
            if case .connectionLost = result.outcome { self.connection = nil }
            let reason = (result.cause as? ConnectionError)?.summary ?? "the relay cannot take the offer now"
            link.reporter.report(.reconnecting(reason: reason, pause: pause))
            try await link.pause(pause)
        }
    }

    /// Says goodbye to the relay.
    func close() async { await connection?.close() }

    private mutating func connected(until deadline: NIODeadline) async throws -> ControlConnection {
        if let connection { return connection }
        let connection = try await link.connect(until: deadline)
        let queue = EventQueue<SendAttempt.Event>()
        link.pump(connection, into: queue, message: SendAttempt.Event.message, end: SendAttempt.Event.connectionEnded)
        link.interruption.whenInterrupted { queue.post(.interrupted) }
        self.connection = connection
        self.queue = queue
        return connection
    }

    /// Only the receiver's own word, about exactly what was sent, is a delivery.
    private static func confirmed(_ payload: Payload, by job: SendJob, _ result: SendAttempt.Result) throws
        -> ContentSummary
    {
        guard let delivered = PayloadCoding.delivered(payload), let summary = result.summary,
            delivered.confirms(summary)
        else { throw TransferFailure(.verificationFailed, side: .sender, peer: job.peer) }
        return summary
    }

    /// Before bytes have flowed, another try costs nobody anything.
    private static func isWorthAnotherTry(_ result: SendAttempt.Result) -> Bool {
        guard !result.hasStarted else { return false }
        switch result.outcome {
        case .connectionLost:
            return (result.cause as? ConnectionError)?.isTemporary ?? true
        case .refused(let code), .failed(let code, by: .relay):
            switch code {
            case .draining, .unavailable, .clusterUnavailable, .rateLimited, .tooManyTransfers: return true
            default: return false
            }
        case .delivered, .failed, .broken, .unreadable, .cancelled, .unanswered: return false
        }
    }

    private func failure(of job: SendJob, _ result: SendAttempt.Result) -> any Error {
        switch result.outcome {
        case .delivered: return TransferFailure(.verificationFailed, side: .sender, peer: job.peer)
        case .refused(let code), .failed(let code, by: _):
            return TransferFailure(code, side: .sender, peer: job.peer)
        case .broken(.cut):
            if case .connection(let error)? = result.cause as? StreamError { return error }
            return TransferFailure(.senderGone, side: .sender, peer: job.peer)
        case .broken(.refused(_, let code)):
            return TransferFailure(code ?? .internalError, side: .sender, peer: job.peer)
        case .unreadable:
            return result.cause ?? TransferFailure(.cannotRead, side: .sender, peer: job.peer)
        case .cancelled where result.hasWaitedLongEnough:
            return TransferFailure(
                code: .expired, description: "\(job.peer) did not accept in time; try again, or with a longer --timeout"
            )
        case .cancelled: return CancellationError()
        case .unanswered: return TransferFailure(.expired, side: .sender, peer: job.peer)
        case .connectionLost: return result.cause ?? TransferFailure(.senderGone, side: .sender, peer: job.peer)
        }
    }
}
