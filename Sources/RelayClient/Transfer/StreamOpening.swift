// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Opens one half of a transfer as ``OpeningMachine`` says, and tells the person when that takes more than one try.
struct StreamOpening: Sendable {
    private let link: RelayLink
    private let url: String
    private let path: String
    private let transfer: TransferID
    private let expires: Int
    private let begin = NIODeadline.now()
    private let place: StreamPlace

    /// - Parameters:
    ///   - url: the `url` of the relay's `start`, which has just come.
    ///   - expires: its `expires`, in seconds.
    ///   - transfer: what it is shown as.
    ///   - place: where it is done.
    init(
        _ role: TransferRole, url: String, expires: Int, of transfer: TransferID, link: RelayLink, at place: StreamPlace
    ) {
        self.transfer = transfer
        self.place = place
        self.link = link
        self.url = url
        path =
            switch role {
            case .upload: "upload"
            case .download: "download"
            }
        self.expires = expires
    }

    /// Runs `open` until it succeeds or there is no use in it any more.
    ///
    /// - Parameter abort: closes a stream that comes when nobody waits for it any more.
    /// - Throws: ``StreamError``, or `CancellationError`.
    func run<Stream: Sendable>(
        _ open: @escaping @Sendable (RequestTarget, Dialer) async throws -> Stream,
        abort: @escaping @Sendable (Stream) -> Void
    ) async throws -> Stream {
        guard var target = link.relay.resolve(url), let home = link.relay.resolve(path) else {
            throw StreamError.badAddress
        }
        var machine = OpeningMachine(target: target, home: home, expires: expires, now: begin)
        var generator = SystemRandomNumberGenerator()
        var isAway = false
        while true {
            do {
                let stream = try await link.interruption.bounded(on: place.executor) { [target] in
                    let stream = try await open(target, place.dialer)
                    guard !Task.isCancelled else {
                        abort(stream)
                        throw CancellationError()
                    }
                    return stream
                }
                if isAway { place.report(.reconnected) }
                return stream
            } catch let error as StreamError {
                try Task.checkCancellation()
                switch machine.failed(error, now: .now(), using: &generator) {
                case .fail(let error): throw error
                case .ask(let next, let pause, let attempt):
                    isAway = true
                    place.report(
                        .reconnecting(reason: error.summary, attempt: attempt, pause: pause, transfer: transfer)
                    )
                    try await link.pause(pause)
                    target = next
                }
            }
        }
    }
}
