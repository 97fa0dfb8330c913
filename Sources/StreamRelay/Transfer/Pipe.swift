// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import ServerSystem
import TLSTransport
package import TransferBroker
package import WSProtocol

/// Joins the two halves of one transfer on one event loop: what the upload brings goes straight into the download's
/// connection, in the same call, with no queue in between.
///
/// Lives from the moment the download is parked until the stream has ended. Bound to the download's event loop, to
/// which the upload's connection is moved if it came in on another one. The rules are in ``StreamMachine``.
///
/// When the download is on another node, a pipe on each carries the stream: here into the connection between the nodes,
/// there out of it.
package final class Pipe {
    let key: StreamKey
    /// The large buffers of the event loop.
    let buffers: SharedBuffers
    private var machine: StreamMachine
    private var sink: (any StreamSink)?
    private var upload: UploadHandler?
    private var tick: RepeatedTask?
    private let loop: any EventLoop
    private let services: StreamServices

    /// Content that the sink has got since its last flush.
    private var unflushedBytes = 0
    /// Count the content for the limits of users and addresses, and say how long the sender has to wait.
    private var meters: [any StreamMeter]
    /// While more has gone through than the meters allow: reads again then.
    private var pause: Scheduled<Void>?
    /// Whether the meters held the stream back the last time: it is read in small pieces then, as all that is read in
    /// one turn goes before it can be held back again.
    private var isPaced = false
    /// Counts the content of all streams of the event loop, for the metrics.
    private let meter: LoopMeter
    private let parkedAt = NIODeadline.now()
    private var joinedAt: NIODeadline?
    /// Whether the sink has been told that the far end takes what it gets.
    private var isProved = false
    private let isHop: Bool
    /// What the machine has decided and has not been done yet.
    private var pending = CircularBuffer<StreamMachine.Action>()
    private var isRunning = false

    /// - Parameters:
    ///   - sink: where the bytes go.
    ///   - meters: count what goes through, for limits.
    ///   - isHop: whether that is another node, which tells the transfer's home how the stream is doing.
    init(
        _ key: StreamKey, to sink: any StreamSink, meters: [any StreamMeter] = [], isHop: Bool = false,
        loop: any EventLoop, services: StreamServices
    ) {
        self.meters = meters
        self.key = key
        self.sink = sink
        self.isHop = isHop
        self.loop = loop
        self.services = services
        machine = StreamMachine(
            timing: isHop ? .hop : .init(), gone: isHop ? .clusterUnavailable : .receiverGone, now: .now()
        )
        buffers = services.memory.buffers(of: loop)
        meter = services.streams.meter(of: loop)
    }

    /// Starts waiting for the sender.
    func park() {
        loop.preconditionInEventLoop()
        let period = Defaults.Stream.streamTick
        let bound = NIOLoopBound(self, eventLoop: loop)
        tick = loop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in bound.value.ticked() }
        services.streams.add(self, loop: loop)
        if !isHop { services.transfers.streamChanged(key, .downloadParked) }
    }

    /// Joins the sender's half.
    func join(_ upload: UploadHandler, length: UInt64?) {
        loop.preconditionInEventLoop()
        guard self.upload == nil else { return upload.refuse(.receiverGone) }
        self.upload = upload
        run(machine.joined(length: length, now: .now()))
    }

    /// A buffer for the upload's next read: what is in it when it is full can be sent on at once.
    func receiveBuffer() -> ByteBuffer {
        // What is read all the same, because the sender has finished, has to wait.
        if isBlocked { return ByteBufferAllocator().buffer(capacity: Defaults.Stream.firstReceiveBytes) }
        if !isProved, machine.forwardedBytes >= Defaults.Stream.provenBytes {
            isProved = true
            sink?.peerIsConsuming()
            upload?.peerIsConsuming()
        }
        let allowance = ReadWindow.bytes(
            sink?.sendBuffer, unsent: sink?.unsentBytes ?? 0, forwarded: machine.forwardedBytes)
        return buffers.takeReceiveBuffer(limit: isPaced ? min(allowance, SystemDefaults.receiveBytes) : allowance)
    }

    /// Takes content from the upload. It is dropped once it has nowhere to go.
    func forward(_ content: ByteBuffer) {
        let isFirst = machine.forwardedBytes == 0
        guard machine.forwarded(content.readableBytes), let sink else { return }
        meter.forwarded(content.readableBytes, isHop: isHop)
        if isFirst, !isHop { services.streams.began(after: .now() - parkedAt) }
        sink.write(content)
        unflushedBytes += content.readableBytes
        if unflushedBytes >= Defaults.Stream.flushBytes { flush() }
        if !meters.isEmpty { count(content.readableBytes) }
    }

    /// Lets the meters count, and holds the sender back for as long as one of them says.
    private func count(_ bytes: Int) {
        let now = NIODeadline.now()
        var wait = TimeAmount.zero
        for meter in meters { wait = max(wait, meter.passed(bytes, now: now)) }
        isPaced = wait > .zero
        guard wait > .zero, pause == nil else { return }
        machine.heldBack()
        pause = loop.assumeIsolated().scheduleTask(in: wait) { self.pauseEnded() }
    }

    private func pauseEnded() {
        pause = nil
        machine.heldBack()
        if !isBlocked { upload?.resume() }
    }

    /// Sends on what ``forward(_:)`` took, for as much as has not been sent yet.
    func flush() {
        guard unflushedBytes > 0 else { return }
        unflushedBytes = 0
        sink?.flush()
    }

    /// Whether the upload has to stop reading.
    var isBlocked: Bool { pause != nil || sink.map { !$0.isWritable } ?? false }

    /// The download's connection takes more, or no more.
    func writabilityChanged(isWritable: Bool) {
        if !isWritable, joinedAt != nil { meter.heldBack() }
        machine.blockedChanged(!isWritable, now: .now())
        if isWritable, pause == nil { upload?.resume() }
    }

    /// The upload's body is complete.
    func uploadCompleted() { run(machine.uploadCompleted()) }
    /// The upload's framing is broken.
    func uploadMalformed() { run(machine.uploadMalformed()) }
    /// The upload's connection has ended early; `code` says who is gone.
    func uploadCut(_ code: FailureCode) { run(machine.uploadCut(code)) }
    /// The download's connection has ended.
    func downloadCut() { run(machine.downloadCut(now: .now())) }
    /// The end of the download's body has been written.
    func downloadFlushed() { run(machine.downloadFlushed()) }
    /// The transfer has ended, and this is how.
    package func end(_ outcome: TransferOutcome) { run(machine.ended(outcome, now: .now())) }
    /// The transfer has been ended by others.
    package func abort(_ code: FailureCode) { end(.failed(code)) }

    /// Content that has gone through.
    package var forwardedBytes: UInt64 { machine.forwardedBytes }

    private func ticked() {
        if pause != nil { machine.heldBack() }
        run(machine.ticked(receiver: sink?.receiverState, now: .now()))
    }

    /// Does what the machine has decided. Doing one thing may bring the next event at once (letting the sender begin
    /// takes in a body that came with its head): what that leads to is done behind what was decided before it.
    private func run(_ actions: [StreamMachine.Action]) {
        pending.append(contentsOf: actions)
        guard !isRunning else { return }
        isRunning = true
        while let action = pending.popFirst() { perform(action) }
        isRunning = false
        guard machine.isEnded, tick != nil else { return }
        tick?.cancel()
        tick = nil
        pause?.cancel()
        pause = nil
        for meter in meters { meter.ended() }
        meters = []
        services.streams.remove(self)
        // The handlers hold the pipe and the pipe holds them.
        sink = nil
        upload = nil
    }

    private func perform(_ action: StreamMachine.Action) {
        switch action {
        case .startDownload(let length): sink?.start(length: length)
        case .startUpload: upload?.start()
        case .finishDownload: sink?.finish()
        case .closeDownload: sink?.close()
        case .cutDownload(let code): sink?.cut(code)
        case .refuseDownload(let code): sink?.refuse(code)
        case .answerUpload(let bytes): upload?.answer(bytes: bytes)
        case .refuseUpload(let code): upload?.refuse(code)
        case .refuseMalformedUpload: upload?.refuseMalformed()
        case .cutUpload: upload?.cut()
        case .report(let event): report(event)
        }
    }

    /// The node that holds the download reports what goes well, and counts the bytes.
    private func report(_ event: StreamEvent) {
        count(event)
        guard isHop else { return services.transfers.streamChanged(key, event) }
        guard case .cut(let code, bytes: _) = event else { return }
        services.transfers.streamChanged(key, .cut(code, bytes: 0))
    }

    /// A stream through two nodes counts where its receiver is.
    private func count(_ event: StreamEvent) {
        if event == .joined {
            joinedAt = .now()
            services.streams.joined(isHop: isHop)
        }
        guard !isHop else { return }
        let time = joinedAt.map { .now() - $0 }
        switch event {
        case .downloadParked, .joined: break
        case .finished: services.streams.ended(nil, after: time)
        case .cut(let code, bytes: _): services.streams.ended(code, after: time)
        }
    }
}

@available(*, unavailable)
extension Pipe: Sendable {}

/// Where a pipe's bytes go: the receiver's connection, or the node that holds it. On the pipe's event loop only.
protocol StreamSink: AnyObject {
    /// Whether the connection takes more.
    var isWritable: Bool { get }
    /// What the kernel knows about the far end.
    var receiverState: StreamMachine.ReceiverState? { get }
    /// What the kernel's buffer for the far end takes.
    var sendBuffer: ReadWindow.SendBuffer? { get }
    /// Bytes that wait in this process until the kernel takes more.
    var unsentBytes: Int { get }

    /// The far end takes what it gets: the kernel may hold more for it.
    func peerIsConsuming()
    /// The body begins; without a length it is chunked.
    func start(length: UInt64?)
    /// Writes content; ``flush()`` sends it.
    func write(_ content: ByteBuffer)
    /// Sends what was written.
    func flush()
    /// Sends the end of the body, and tells the pipe when everything has been handed over.
    func finish()
    /// Closes as complete.
    func close()
    /// Closes so that the receiver does not take the body for complete.
    func cut(_ code: FailureCode)
    /// Refuses a body that has not begun.
    func refuse(_ code: FailureCode)
}

/// Counts the content of streams for someone, and says when there was too much of it. For any thread.
package protocol StreamMeter: AnyObject, Sendable {
    /// So many bytes have gone through: returns how long nothing more may.
    func passed(_ bytes: Int, now: NIODeadline) -> TimeAmount
    /// A stream has ended that this was counting.
    func ended()
}
