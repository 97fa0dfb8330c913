// SPDX-License-Identifier: Apache-2.0

import Crypto
import NIOCore
import Sealing
import Synchronization
import TransferClient
import WSProtocol

/// What a session needs from outside. Tests have a double for each protocol.
struct SessionEnvironment: Sendable {
    let relay: RelayURL
    /// Who this client is to others, and whom it knows.
    let sealing: SealingParty
    /// The transfers that were begun and are not complete.
    let records: TransferRecords
    let connector: any ControlConnecting
    let streams: any DataStreams
    let clock: any SessionClock
    var reporter: Reporter
    let interrupt: InterruptSignal
    /// Where a connection's messages come from, and are taken by a task that does not block; nil leaves that open.
    let executor: (any TaskExecutor)?

    /// The name that this client is logged in under.
    var name: PeerName { sealing.name }

    /// Tells the person that the relay lets this side wait.
    func reportSlowness() {
        reporter.report(
            .notice("\(relay) is slow to answer: it holds back what comes too fast, or the network is slow")
        )
    }
}

/// Makes control connections.
protocol ControlConnecting: Sendable {
    /// Connects and logs in, after a pause.
    ///
    /// - Throws: `connection`, or `interrupted`.
    func connect(after pause: TimeAmount?) async throws(ClientError) -> any ControlLine
}

/// A control connection as a session uses it.
protocol ControlLine: Sendable {
    /// What the relay says, in order. Ends by throwing a ``ConnectionError``.
    var messages: ControlMessageHandler.Messages { get }
    /// Sends a message without waiting for it to leave. That the connection is gone is told by the end of ``messages``.
    func post(_ message: ClientMessage)
    /// A request id that was not used yet.
    func nextID() -> RequestID
    /// Waits until what others have to hear is with the relay, says goodbye, and waits until the connection is closed;
    /// for a second at most each.
    func close() async
    /// Closes without a word.
    func abort()
}

extension ControlConnection: ControlLine {}

/// Carries the bytes of transfers, from the relay's `start` on.
protocol DataStreams: Sendable {
    /// Begins to carry a content to where the relay's `start` says. `tell` hears everything that becomes of it.
    func upload(_ request: UploadRequest, tell: @escaping @Sendable (UploadEvent) -> Void) -> any ContentUpload

    /// Begins to carry a content from where `start` says into a sink. `tell` hears everything that becomes of it.
    ///
    /// - Returns: what runs: cancelled, it cuts the stream, and writes nothing more once it has ended.
    func download(_ request: DownloadRequest, tell: @escaping @Sendable (DownloadEvent) -> Void) -> Task<Void, Never>
}

/// What carries one content into one transfer.
protocol ContentUpload: Sendable {
    /// Stops it, if it has not ended.
    func cut()
    /// The receiver has got further: it is worth waiting for the end.
    func receiverProgressed()
    /// The receiver has said which files it wants.
    func receiverWants(_ note: WantedNote)
}

/// What is to be uploaded, and how it is sealed.
struct UploadRequest: Sendable {
    let job: SendJob
    let start: ServerMessage.Start
    let acceptance: Acceptance
    let keys: AttemptKeys
    let signingKey: Curve25519.Signing.PrivateKey

    /// The length of the body; nil where that is not known before its end.
    var bodyLength: UInt64? {
        job.tree.streamLength(from: acceptance.position, wantsByNote: acceptance.wantsByNote)
            .flatMap(Chunk.bodyLength)
    }

    /// Compares what the receiver has with what there is, and begins to read where it wants to go on. Blocks.
    func makeReader() throws(FileError) -> SourceReader {
        try job.tree.check(acceptance.samples)
        return try job.tree.reader(
            for: job.transfer, from: acceptance.position, wantsByNote: acceptance.wantsByNote, signedBy: signingKey,
            takesChecksums: job.printsChecksums
        )
    }
}

/// What an upload tells.
enum UploadEvent: Sendable {
    /// The stream stands, and bytes may flow.
    case streaming
    /// What the person is to see, from an upload that runs on an event loop.
    case report(TransferReport)
    /// It has ended, and why where it ended badly.
    case ended(SendMachine.UploadResult, ClientError?)
    /// The last of all: nothing reads the content any more. What was sent, once that was everything, also where it did
    /// not end well.
    case stopped(DeliveredCounts?)
}

/// What a download tells.
enum DownloadEvent: Sendable {
    /// What the person is to see, from a download that runs on an event loop.
    case report(TransferReport)
    /// The sender has to be told which files are wanted.
    case wants([WantedNote])
    /// The last of all: everything came and was verified, or why it did not.
    case ended(Result<Void, ClientError>)
}

/// What is to be downloaded, and where it goes.
struct DownloadRequest: Sendable {
    /// To be called before anything is asked for; blocks. Returns why there is no download, if so.
    let begin: @Sendable () -> ClientError?
    let start: ServerMessage.Start
    let label: TransferLabel
    let sink: any TransferSink
    let opening: ChunkOpening
    /// Whether the person is not shown that it runs.
    let isSilent: Bool
    /// Told the bytes that have come, after each piece.
    let progress: @Sendable (UInt64) -> Void
}

/// How long a relay has let one connection wait for answers, all of them together: what is little for one of them is
/// much for all, when it holds back what comes too fast. Pure: the time is an argument.
struct AnswerWaits: Hashable, Sendable {
    private var sum = TimeAmount.zero
    /// Up to when the waits are counted: requests that wait side by side wait once.
    private var counted = NIODeadline.uptimeNanoseconds(0)
    /// Whether the person was told.
    private(set) var isTold = false

    /// A request has waited from `asked` to `now`, whether it is answered or not. Returns whether the person is to be
    /// told, for the first time.
    mutating func waited(since asked: NIODeadline, now: NIODeadline) -> Bool {
        let begin = max(asked + Defaults.ordinaryAnswer, counted)
        if now > begin {
            sum = sum + (now - begin)
            counted = now
        }
        guard !isTold, max(sum, now - asked) >= Defaults.slowAnswer else { return false }
        isTold = true
        return true
    }
}

/// What goes out over one control connection, and which transfer each answer is about.
final class Outbox: Sendable {
    /// Which of the session's connections it is, from 1.
    let number: UInt64
    private let line: any ControlLine
    private let routes = Mutex(AnswerRoutes())

    init(_ line: any ControlLine, number: UInt64) {
        self.line = line
        self.number = number
    }

    /// Sends a message.
    func post(_ message: ClientMessage) { line.post(message) }

    /// A new request id.
    ///
    /// - Parameter transfer: what the answer is about; nil for a request whose answer is about no transfer.
    func nextID(about transfer: TransferID? = nil) -> RequestID {
        let id = line.nextID()
        if let transfer { routes.withLock { $0.expect(id, about: transfer) } }
        return id
    }

    /// The transfer that `message` is about; nil when it is about none.
    func transfer(of message: ServerMessage) -> TransferID? { routes.withLock { $0.transfer(of: message) } }

    /// Answers about `transfer` are not expected any more.
    func forget(_ transfer: TransferID) { routes.withLock { $0.forget(transfer) } }

    /// As ``ControlLine/close()``.
    func close() async { await line.close() }
}
