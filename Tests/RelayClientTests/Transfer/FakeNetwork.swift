// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import Synchronization
import WSProtocol

@testable import RelayClient

/// A relay and a receiver in this process: a test says what is answered to each offer, and what becomes of each upload.
final class FakeNetwork: SendNetwork {
    /// One control connection.
    final class Line: ControlLine {
        let messages: ControlMessageHandler.Messages
        let number: Int
        private let queue: ControlMessageHandler.Messages.Continuation
        private let network: FakeNetwork
        private let ids = Mutex(UInt64(0))

        init(_ network: FakeNetwork, number: Int) {
            (messages, queue) = ControlMessageHandler.Messages.makeStream()
            self.network = network
            self.number = number
        }

        func post(_ message: ClientMessage) { network.heard(message, on: self) }

        func nextID() -> RequestID {
            .sequence(
                .client,
                ids.withLock { last in
                    last += 1
                    return last
                })
        }

        var interruption: Interruption { network.interruption }
        func close() async { abort() }
        func abort() { queue.finish() }
        func say(_ messages: [ServerMessage]) { for message in messages { queue.yield(message) } }
        func lose(_ error: ConnectionError) { queue.finish(throwing: error) }
    }

    /// One offer, as it came.
    struct Offered: Sendable {
        let offer: ClientMessage.Offer
        let line: Line
        /// From 1.
        let number: Int

        var manifest: OfferPayload? { PayloadCoding.offer(offer.payload) }
    }

    private struct State {
        var lines: [Line] = []
        var offers: [Offered] = []
        var cancels: [ClientMessage.Cancel] = []
        var uploads = 0
        var running = 0
        var mostRunning = 0
        var parked: [@Sendable () -> Void] = []
    }

    private struct Upload: ContentUpload {
        let cutAction: @Sendable () -> Void
        func cut() { cutAction() }
        func receiverProgressed() {}
    }

    let relay: RelayURL
    let reporter: Reporter
    let interruption = Interruption()
    /// How many uploads wait for each other before they go on; the first goes alone.
    let together: Int
    private let answer: @Sendable (Offered) -> [ServerMessage]
    private let state = Mutex(State())

    var timers: any EventLoop { MultiThreadedEventLoopGroup.singleton.any() }
    var executor: (any TaskExecutor)? { nil }
    var lines: [Line] { state.withLock { $0.lines } }
    var offers: [Offered] { state.withLock { $0.offers } }
    var cancels: [ClientMessage.Cancel] { state.withLock { $0.cancels } }
    var mostRunning: Int { state.withLock { $0.mostRunning } }

    /// - Parameters:
    ///   - reports: a descriptor that the JSON reports go to.
    ///   - answer: what the relay answers to an offer; ``acceptance(of:)`` has it accepted and delivered.
    init(
        reports: Int32, together: Int = 1, answer: @escaping @Sendable (Offered) -> [ServerMessage]
    ) throws {
        relay = try RelayURL("https://relay.example.com")
        reporter = Reporter(mode: .json, output: reports, errors: reports)
        self.together = together
        self.answer = answer
    }

    /// The messages that lead to an upload.
    static func acceptance(of offered: Offered) -> [ServerMessage] {
        let (id, transfer) = (offered.offer.id, offered.offer.transfer)
        return [
            .offered(.init(id: id, transfer: transfer, state: .ringing)),
            .offered(.init(id: id, transfer: transfer, state: .accepted)),
            .start(
                .init(
                    id: id, transfer: transfer, role: .upload, token: .random(), url: "/upload", expires: 30,
                    payload: PayloadCoding.encode(AcceptPayload(offset: 0))
                )),
        ]
    }

    func line(after _: TimeAmount?) async throws -> any ControlLine {
        state.withLock { state in
            let line = Line(self, number: state.lines.count + 1)
            state.lines.append(line)
            return line
        }
    }

    func upload(
        _ job: SendJob, _ start: ServerMessage.Start, tell: @escaping @Sendable (UploadEvent) -> Void
    ) -> any ContentUpload {
        let isDone = Mutex(false)
        let summary = ContentSummary(size: job.source.size ?? 0, digest: [UInt8](repeating: 1, count: 32))
        let line = offers.last { $0.offer.transfer == start.transfer }?.line
        let finish: @Sendable (Bool) -> Void = { isWhole in
            guard
                isDone.withLock({ isDone in
                    defer { isDone = true }
                    return !isDone
                })
            else { return }
            self.state.withLock { $0.running -= 1 }
            tell(.ended(isWhole ? .finished : .broken(.cut), isWhole ? nil : StreamError.cut))
            tell(.stopped(isWhole ? summary : nil))
            guard isWhole, let payload = PayloadCoding.encode(DeliveredPayload(summary)) else { return }
            line?.say([.delivered(.init(id: start.id, transfer: start.transfer, payload: payload))])
        }
        let ready: [@Sendable () -> Void] = state.withLock { state in
            state.uploads += 1
            state.running += 1
            state.mostRunning = max(state.mostRunning, state.running)
            state.parked.append { finish(true) }
            guard state.parked.count >= together || state.uploads == 1 else { return [] }
            defer { state.parked = [] }
            return state.parked
        }
        Task {
            tell(.streaming)
            for each in ready { each() }
        }
        return Upload { finish(false) }
    }

    private func heard(_ message: ClientMessage, on line: Line) {
        switch message {
        case .offer(let offer):
            let offered = state.withLock { state in
                let offered = Offered(offer: offer, line: line, number: state.offers.count + 1)
                state.offers.append(offered)
                return offered
            }
            line.say(answer(offered))
        case .cancel(let cancel): state.withLock { $0.cancels.append(cancel) }
        default: break
        }
    }
}
