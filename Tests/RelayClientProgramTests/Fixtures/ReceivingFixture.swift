// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// A receiver over a session with doubles, and offers of alice that come to it, really sealed.
struct ReceivingFixture {
    let session: SessionFixture
    let folder: ReceivedFolder
    /// What the person was asked about.
    let asked = Asked()
    /// Who offers.
    let alice: FakePeer
    private let files: SentFiles
    private let sent = Sent()
    /// What is carried by each offer of the same.
    private let known = CarriedTransfer.random()

    var relay: FakeRelay { session.relay }
    /// The policies of the profile, where there are any.
    var policies: PolicyStore { PolicyStore(folder.temporary.file("policies")) }

    /// The questions, and the answers to them.
    final class Asked: Sendable {
        private let state = Mutex((questions: [OfferQuestion](), answer: Bool?.some(true)))
        /// The questions that wait for an answer, though they be cancelled.
        let unanswered: AsyncStream<CheckedContinuation<Bool, Never>>
        private let waiting: AsyncStream<CheckedContinuation<Bool, Never>>.Continuation

        init() { (unanswered, waiting) = AsyncStream.makeStream() }

        var questions: [OfferQuestion] { state.withLock { $0.questions } }
        var labels: [TransferLabel] { questions.map(\.label) }
        /// What each question is answered from now on; nil: it is one of ``unanswered``.
        func answer(_ answer: Bool?) { state.withLock { $0.answer = answer } }
        fileprivate func ask(_ question: OfferQuestion) async -> Bool {
            let answer = state.withLock { state in
                state.questions.append(question)
                return state.answer
            }
            if let answer { return answer }
            return await withCheckedContinuation { question in _ = waiting.yield(question) }
        }
    }

    /// What alice has offered, and where it comes from.
    private final class Sent: Sendable {
        struct Offer: Sendable {
            let sealed: SentOffer
            let transfer: CarriedTransfer
            let tree: SourceTree
        }

        let offers = Mutex<[TransferID: Offer]>([:])
        let trees = Mutex<[String: SourceTree]>([:])
    }

    init(
        isOnce: Bool = false, isTrusting: Bool = false, maximumSize: UInt64? = nil, command: FileCommand? = nil,
        printsChecksums: Bool = false, only: CarriedTransfer? = nil, isAttended: Bool = true,
        policies: (@Sendable (PolicyStore) throws -> Void)? = nil
    ) throws {
        let folder = try ReceivedFolder()
        let asked = asked
        self.folder = folder
        files = try SentFiles()
        session = try SessionFixture { environment, queue in
            let policy = ReceivePolicy(isTrusting: isTrusting, maximumSize: maximumSize)
            var settings = ReceiveSettings(
                policy: policy, output: .folder(folder.parts()), isOnce: isOnce, command: command,
                printsChecksums: printsChecksums, only: only
            )
            if let policies {
                let store = PolicyStore(folder.temporary.file("policies"))
                try policies(store)
                settings.policies = store
                settings.folders = SenderFolders(options: ReceivedOptions()) { _ in }
            }
            let ask: (@Sendable (OfferQuestion) async -> Bool)? =
                isAttended ? { @Sendable in await asked.ask($0) } : nil
            return [Receiver(settings, ask: ask, environment: environment, queue: queue)]
        }
        alice = try session.relay.peer(Samples.alice)
    }

    /// Takes events until the relay rings this session on its newest connection, which is the `count`th.
    func present(_ count: Int = 1) async {
        await session.run { relay.lines.count == count && relay.presences == count }
        await session.run { isPresent }
    }

    private var isPresent: Bool { session.session.deadline.map { $0 > session.clock.now() + .seconds(30) } ?? true }

    /// Offers a file on the newest connection: another attempt to carry the same, or another transfer if not
    /// `isKnown`. Returns the id of the attempt, which for the first one is also that of the transfer.
    func ring(
        _ name: String = "file", size: UInt64 = 7, isKnown: Bool = true, as carried: CarriedTransfer? = nil
    ) throws -> TransferID {
        let transfer = carried ?? (isKnown ? known : .random())
        let isFirst = sent.offers.withLock { $0[transfer.shown] == nil }
        let attempt = isFirst ? transfer.shown : TransferID.random()
        let tree = try tree(name, size: size)
        let offer = try alice.offer(
            tree.summary, of: transfer, as: attempt, to: session.environment.sealing, time: session.day.now
        )
        sent.offers.withLock { $0[attempt] = .init(sealed: offer, transfer: transfer, tree: tree) }
        ring(try alice.ring(offer))
        return attempt
    }

    /// The same content under the same name is the same file.
    private func tree(_ name: String, size: UInt64) throws -> SourceTree {
        let key = "\(size) \(name)"
        if let known = sent.trees.withLock({ $0[key] }) { return known }
        let tree = try files.tree(name, size: size)
        sent.trees.withLock { $0[key] = tree }
        return tree
    }

    /// The relay rings with this on the newest connection.
    func ring(_ ring: ServerMessage.Ring) { relay.lines.last?.say([.ring(ring)]) }

    /// The relay rings once more with what it rang with before.
    func ringAgain(_ attempt: TransferID) throws { ring(try alice.ring(try offer(attempt))) }

    /// What alice has sealed.
    func offer(_ attempt: TransferID) throws -> SentOffer {
        try #require(sent.offers.withLock { $0[attempt] }).sealed
    }

    /// Takes events until `transfer` is accepted, and gives it its token.
    func start(_ transfer: TransferID) async throws {
        try await acceptance(of: transfer)
        let count = relay.downloads.count
        relay.lines.last?.say([try startMessage(transfer)])
        await session.run { relay.downloads.count > count || session.session.isOver }
    }

    /// The relay's answer to the `accept` of `transfer`.
    func startMessage(_ transfer: TransferID) throws -> ServerMessage {
        .start(
            .init(
                id: try #require(relay.accepts[transfer]).id, transfer: transfer, role: .download, token: .random(),
                url: "/download", expires: 60
            ))
    }

    /// Takes events until `transfer` is accepted. Returns the id of the `accept`.
    @discardableResult
    func acceptance(of transfer: TransferID) async throws -> RequestID {
        await session.run { relay.accepts[transfer] != nil }
        return try #require(relay.accepts[transfer]).id
    }

    /// What alice reads in the `accept` of `transfer`, and the keys that she has from then on.
    func agreed(_ transfer: TransferID) throws -> (acceptance: Acceptance, keys: AttemptKeys) {
        let accept = try #require(relay.accepts[transfer])
        let offer = try #require(sent.offers.withLock { $0[transfer] })
        return try AcceptSealing.open(accept.payload.bytes, to: offer.sealed)
    }

    /// The peer or the relay ends `transfer` with that code.
    func fail(_ transfer: TransferID, _ code: FailureCode, by party: ServerMessage.Failed.Party) {
        relay.lines.last?.say([.failed(.init(id: .sequence(.relay, 9), transfer: transfer, code: code, by: party))])
    }

    /// A transfer from its ring to the break of its stream, for which alice is to blame.
    func broken() async throws -> TransferID {
        let transfer = try ring()
        try await start(transfer)
        fail(transfer, .senderGone, by: .relay)
        try await session.run { try session.events("interrupted").count == 1 }
        return transfer
    }

    /// One transfer from its ring to the `delivered`, which the relay acknowledges if it `isHeard`.
    func receive(
        _ name: String = "file", size: UInt64 = 7, isHeard: Bool = true, isKnown: Bool = true,
        as carried: CarriedTransfer? = nil
    ) async throws {
        let transfer = try ring(name, size: size, isKnown: isKnown, as: carried)
        try await start(transfer)
        try complete()
        await session.run { deliveries.contains { $0.transfer == transfer } }
        guard isHeard else { return }
        let said = try #require(deliveries.last)
        relay.lines.last?.say([.ok(.init(id: said.id))])
        let count = try session.events("received").count
        try await session.run { try session.events("received").count > count }
    }

    /// The `delivered` that were said, with their ids.
    var deliveries: [ClientMessage.Delivered] {
        relay.said.compactMap { if case .delivered(let delivered) = $0 { delivered } else { nil } }
    }

    /// The bytes of the stream that alice sends when `transfer` starts.
    func stream(of transfer: TransferID) throws -> [UInt8] {
        let offer = try #require(sent.offers.withLock { $0[transfer] })
        let (acceptance, keys) = try agreed(transfer)
        return try sealedStream(
            of: offer.tree, as: offer.transfer, acceptance, keys: keys, signedBy: alice.signingKey
        )
    }

    /// The content of the newest download comes, and ends well.
    func complete() throws {
        let download = try #require(relay.downloads.last)
        download.bring(try stream(of: download.request.start.transfer))
    }

    /// What alice reads in each `delivered`, with the digest of what she sent.
    func delivered(_ said: ClientMessage.Delivered) throws -> (summary: DeliveredSummary, sent: ManifestDigest) {
        let offer = try #require(sent.offers.withLock { $0[said.transfer] })
        let summary = try DeliveredSealing.open(said.payload.bytes, with: try agreed(said.transfer).keys)
        return (summary, offer.tree.digest)
    }
}

extension ReceivedFolder {
    /// The folder as one that transfers go to.
    func parts(_ options: ReceivedOptions = ReceivedOptions()) -> ReceivedParts {
        ReceivedParts(directory: directory, options: options)
    }
}

extension ReceivedParts {
    /// Whether what is offered there was accepted before.
    func hasAccepted(_ offer: OfferedTransfer) -> Bool {
        hasAccepted(offer.summary, of: offer.transfer, from: offer.sender.identity)
    }
}
