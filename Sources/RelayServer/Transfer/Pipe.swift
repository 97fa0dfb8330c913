// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
import WSProtocol

/// Joins the two halves of one transfer on one event loop: what the upload brings goes straight into the download's
/// connection, in the same call, with no queue in between.
///
/// Lives from the moment the download is parked until the stream has ended. Bound to the download's event loop, to which
/// the upload's connection is moved if it came in on another one. The rules are in ``StreamMachine``.
final class Pipe {
    let transfer: TransferID
    /// The large buffers of the event loop.
    let buffers: SharedBuffers
    private var machine: StreamMachine
    private var download: DownloadHandler?
    private var upload: UploadHandler?
    private var tick: RepeatedTask?
    private let loop: any EventLoop
    private let services: ConnectionServices

    init(transfer: TransferID, download: DownloadHandler, loop: any EventLoop, services: ConnectionServices) {
        self.transfer = transfer
        self.download = download
        self.loop = loop
        self.services = services
        buffers = services.memory.buffers(of: loop)
        machine = StreamMachine(now: .now())
    }

    /// Starts waiting for the sender.
    func park() {
        loop.preconditionInEventLoop()
        let period = Defaults.Stream.streamTick
        let bound = NIOLoopBound(self, eventLoop: loop)
        tick = loop.scheduleRepeatedTask(initialDelay: period, delay: period) { _ in bound.value.ticked() }
        services.streams.add(self, loop: loop)
        services.transfers.streamChanged(transfer, .downloadParked)
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
        let allowance = ReadAllowance.bytes(download?.sendBuffer, forwarded: machine.forwardedBytes)
        return buffers.takeReceiveBuffer(limit: allowance)
    }

    /// Takes content from the upload; false when it has nowhere to go.
    func forward(_ content: ByteBuffer) -> Bool {
        guard machine.forwarded(content.readableBytes), let download else { return false }
        download.write(content)
        return true
    }

    /// Sends on what ``forward(_:)`` took.
    func flush() { download?.flush() }

    /// Whether the upload has to stop reading.
    var isBlocked: Bool { download.map { !$0.isWritable } ?? false }

    /// The download's connection takes more, or no more.
    func writabilityChanged(isWritable: Bool) {
        machine.blockedChanged(!isWritable, now: .now())
        if isWritable { upload?.resume() }
    }

    /// The upload's body is complete.
    func uploadCompleted() { run(machine.uploadCompleted()) }
    /// The upload's framing is broken.
    func uploadMalformed() { run(machine.uploadMalformed()) }
    /// The upload's connection has ended early.
    func uploadCut() { run(machine.uploadCut()) }
    /// The download's connection has ended.
    func downloadCut() { run(machine.downloadCut()) }
    /// The end of the download's body has been written.
    func downloadFlushed() { run(machine.downloadFlushed()) }
    /// The transfer has been ended by others.
    func abort(_ code: FailureCode) { run(machine.aborted(code)) }

    private func ticked() {
        run(machine.ticked(receiver: download?.receiverState, now: .now()))
    }

    private func run(_ actions: [StreamMachine.Action]) {
        for action in actions {
            switch action {
            case .startDownload(let length): download?.start(length: length)
            case .startUpload: upload?.start()
            case .finishDownload: download?.finish()
            case .closeDownload: download?.close()
            case .cutDownload: download?.cut()
            case .refuseDownload(let code): download?.refuse(code)
            case .answerUpload(let bytes): upload?.answer(bytes: bytes)
            case .refuseUpload(let code): upload?.refuse(code)
            case .refuseMalformedUpload: upload?.refuseMalformed()
            case .cutUpload: upload?.cut()
            case .report(let event): services.transfers.streamChanged(transfer, event)
            }
        }
        guard machine.isEnded, tick != nil else { return }
        tick?.cancel()
        tick = nil
        services.streams.remove(transfer)
        // The handlers hold the pipe and the pipe holds them.
        download = nil
        upload = nil
    }
}

@available(*, unavailable)
extension Pipe: Sendable {}
