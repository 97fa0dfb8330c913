// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// The rules of one transfer's stream: who waits for whom, what a cut means, and when a silent side has been silent for
/// too long. Pure: the pipe tells it what happened and carries out what it answers.
struct StreamMachine {
    /// How long things may take.
    struct Timing: Hashable, Sendable {
        /// The receiver's request waits this long for the sender's.
        var attach: TimeAmount = Defaults.Stream.attachTimeout
        /// A sender that is not held back has to bring at least `minimumBytes` in any time of this length.
        var progressWindow: TimeAmount = Defaults.Stream.progressWindow
        var minimumBytes: UInt64 = Defaults.Stream.progressMinimumBytes
        /// A receiver that has something to take has to take at least one byte in this time; nil: others look at that.
        var stall: TimeAmount? = Defaults.Stream.receiverStall
        /// A receiver whose network acknowledges nothing of what is in flight for this long is gone.
        var silence: TimeAmount = Defaults.Stream.receiverSilence
        /// How long the sender's answer waits for the word of the transfer's home.
        var verdict: TimeAmount = Defaults.Stream.verdictTimeout
        /// What a lost client's stream still has on its way is passed on for as long as `drain`, and only while
        /// something moves in `drainSilence`.
        var drain: TimeAmount = Defaults.Stream.drainTotal
        var drainSilence: TimeAmount = Defaults.Stream.drainSilence

        /// For a stream into another node: whether the receiver takes anything is that node's business.
        static let hop = Timing(stall: nil)
    }

    /// What the kernel knows about the connection to the receiver.
    struct ReceiverState: Hashable, Sendable {
        /// Bytes acknowledged since the connection began.
        var acknowledged: UInt64
        /// Whether packets are in flight that have not been acknowledged.
        var hasUnacknowledged: Bool
        /// Time since the last acknowledgement of anything, window probes included.
        var sinceAcknowledgement: TimeAmount
    }

    /// What the pipe has to do, in order.
    enum Action: Hashable, Sendable {
        /// Send the head of the download's answer; nil means chunked.
        case startDownload(length: UInt64?)
        /// Let the sender begin (`100 Continue`, if it waits for that).
        case startUpload
        /// Send the end of the download's body and tell when it is written.
        case finishDownload
        /// Close the download as complete.
        case closeDownload
        /// Cut the download so that the receiver does not take it for complete.
        case cutDownload(FailureCode)
        /// Answer the download, whose body has not begun, with a refusal.
        case refuseDownload(FailureCode)
        /// Tell the sender that every byte was handed over.
        case answerUpload(bytes: UInt64)
        /// Tell the sender that it is over.
        case refuseUpload(FailureCode)
        /// Tell the sender that its body's framing is broken.
        case refuseMalformedUpload
        /// Close the upload, whose sender is gone or beyond hearing.
        case cutUpload
        /// Tell the ``TransferDirectory``.
        case report(StreamEvent)
    }

    private enum State: Hashable {
        case parked(until: NIODeadline)
        case streaming(Progress)
        case finishing(Progress)
        /// The transfer is over because a client is gone, for `code`. What the sender had sent until then is in the
        /// kernels on the way, and would have to be sent again: it still goes to the receiver.
        case draining(Progress, FailureCode, Drain)
        /// Over, but the transfer's home decides how it ends: the receiver may be about to give a reason of its own, or
        /// may have said that it has everything. The sender's answer waits for that decision, so that it is the same as
        /// the message's. Without it, `code` is the answer after a while.
        case undecided(FailureCode, bytes: UInt64, hasUpload: Bool, until: NIODeadline)
        case ended
    }

    private struct Progress: Hashable {
        var bytes: UInt64 = 0
        /// When the sender had last brought `minimumBytes` since the mark before, or was held back; and how many bytes
        /// it had brought then.
        var mark: NIODeadline
        var bytesAtMark: UInt64 = 0
        /// Whether the sender was held back at any time since the last look.
        var wasBlocked = false
        var isBlocked = false
        var acknowledged: UInt64 = 0
        /// When the receiver last took something, or had nothing to take.
        var lastTaken: NIODeadline
    }

    /// How long what is on its way is passed on.
    private struct Drain: Hashable {
        var until: NIODeadline
        /// When something had last moved, and what had moved by then.
        var lastMoved: NIODeadline
        var bytes: UInt64
        var acknowledged: UInt64?
    }

    private var state: State
    private let timing: Timing
    /// What it means that the far end is gone.
    private let gone: FailureCode

    /// The receiver's request is there; the sender's is awaited.
    init(timing: Timing = Timing(), gone: FailureCode = .receiverGone, now: NIODeadline) {
        self.timing = timing
        self.gone = gone
        state = .parked(until: now + timing.attach)
    }

    /// Whether nothing more will happen.
    var isEnded: Bool { state == .ended }

    /// Bytes of content that have gone from the sender to the receiver.
    var forwardedBytes: UInt64 {
        switch state {
        case .streaming(let progress), .finishing(let progress), .draining(let progress, _, _): progress.bytes
        case .undecided(_, let bytes, hasUpload: _, until: _): bytes
        case .parked, .ended: 0
        }
    }

    /// The sender's request has come.
    mutating func joined(length: UInt64?, now: NIODeadline) -> [Action] {
        switch state {
        case .parked:
            state = .streaming(Progress(mark: now, lastTaken: now))
            return [.startDownload(length: length), .startUpload, .report(.joined)]
        case .undecided(let code, let bytes, hasUpload: false, let until):
            state = .undecided(code, bytes: bytes, hasUpload: true, until: until)
            return []
        case .undecided, .streaming, .finishing, .draining, .ended: return [.refuseUpload(.receiverGone)]
        }
    }

    /// `count` bytes of content go from the sender to the receiver. Returns false when they have nowhere to go.
    mutating func forwarded(_ count: Int) -> Bool {
        switch state {
        case .streaming(var progress):
            progress.bytes += UInt64(count)
            state = .streaming(progress)
            return true
        case .draining(var progress, let code, let drain):
            progress.bytes += UInt64(count)
            state = .draining(progress, code, drain)
            return true
        case .parked, .finishing, .undecided, .ended: return false
        }
    }

    /// The receiver's connection takes no more, or takes more again.
    mutating func blockedChanged(_ isBlocked: Bool, now: NIODeadline) {
        switch state {
        case .streaming(var progress):
            Self.setBlocked(isBlocked, &progress, now)
            state = .streaming(progress)
        case .finishing(var progress):
            Self.setBlocked(isBlocked, &progress, now)
            state = .finishing(progress)
        // The silence of both sides ends it, whichever holds back the other.
        case .parked, .draining, .undecided, .ended: break
        }
    }

    /// The sender is, or was, held back for another reason than the receiver's: it is not the slow one.
    mutating func heldBack() {
        switch state {
        case .streaming(var progress):
            progress.wasBlocked = true
            state = .streaming(progress)
        case .parked, .finishing, .draining, .undecided, .ended: break
        }
    }

    /// The sender's body is complete.
    mutating func uploadCompleted() -> [Action] {
        switch state {
        case .streaming(let progress):
            state = .finishing(progress)
            return [.finishDownload]
        case .draining(_, let code, _): return drained(.refuseUpload(code))
        case .parked, .finishing, .undecided, .ended: return []
        }
    }

    /// The end of the download's body has been written.
    mutating func downloadFlushed() -> [Action] {
        switch state {
        case .finishing(let progress):
            state = .ended
            return [
                .closeDownload, .answerUpload(bytes: progress.bytes), .report(.finished(bytes: progress.bytes)),
            ]
        case .parked, .streaming, .draining, .undecided, .ended: return []
        }
    }

    /// The sender's connection ended before its body did; `code` says who is gone.
    mutating func uploadCut(_ code: FailureCode) -> [Action] {
        switch state {
        case .streaming(let progress):
            state = .ended
            return [.cutDownload(code), .cutUpload, .report(.cut(code, bytes: progress.bytes))]
        case .draining: return drained(.cutUpload)
        // The sender does not wait for the answer any more.
        case .undecided(_, bytes: _, hasUpload: true, until: _):
            state = .ended
            return [.cutUpload]
        // The whole body is here: a sender that leaves now only misses the answer.
        case .parked, .finishing, .undecided, .ended: return []
        }
    }

    /// The sender's body has broken framing: there is no telling where it would end.
    mutating func uploadMalformed() -> [Action] {
        switch state {
        case .streaming(let progress):
            state = .ended
            return [
                .cutDownload(.malformedBody), .refuseMalformedUpload,
                .report(.cut(.malformedBody, bytes: progress.bytes)),
            ]
        case .draining: return drained(.refuseMalformedUpload)
        case .parked, .finishing, .undecided, .ended: return []
        }
    }

    /// The receiver's connection ended before the body did.
    mutating func downloadCut(now: NIODeadline) -> [Action] { broke(gone, now: now) }

    /// The transfer's home says how the transfer ended.
    ///
    /// A stream whose client is gone goes on for a while with what is on its way.
    mutating func ended(_ outcome: TransferOutcome, now: NIODeadline) -> [Action] {
        let code: FailureCode =
            switch outcome {
            case .failed(let code): code
            // A receiver that has everything has no use for a download.
            case .delivered: .cancelled
            }
        func answer(_ bytes: UInt64) -> Action {
            outcome == .delivered ? .answerUpload(bytes: bytes) : .refuseUpload(code)
        }
        switch state {
        case .parked:
            state = .ended
            return [.refuseDownload(code), .report(.cut(code, bytes: 0))]
        case .streaming(let progress) where outcome != .delivered && drainTime(code) != nil:
            let drain = Drain(
                until: now + (drainTime(code) ?? .zero), lastMoved: now, bytes: progress.bytes, acknowledged: nil)
            state = .draining(progress, code, drain)
            return []
        // What ended it first is the reason; what ends it now does not wait.
        case .draining(_, let code, _): return drained(.refuseUpload(code))
        case .streaming(let progress), .finishing(let progress):
            state = .ended
            return [.cutDownload(code), answer(progress.bytes), .report(.cut(code, bytes: progress.bytes))]
        case .undecided(_, let bytes, let hasUpload, until: _):
            state = .ended
            return hasUpload ? [answer(bytes)] : []
        case .ended: return []
        }
    }

    /// Some time has passed. `receiver` is nil when the kernel would not tell.
    mutating func ticked(receiver: ReceiverState?, now: NIODeadline) -> [Action] {
        switch state {
        case .parked(let until): return now >= until ? ended(.failed(.expired), now: now) : []
        case .streaming(var progress):
            if let code = lapse(&progress, receiver, now) { return broke(code, now: now) }
            state = .streaming(progress)
            return []
        case .finishing(var progress):
            if let code = receiverLapse(&progress, receiver, now) { return broke(code, now: now) }
            state = .finishing(progress)
            return []
        case .draining(let progress, let code, var drain):
            if progress.bytes != drain.bytes || receiver?.acknowledged != drain.acknowledged {
                (drain.bytes, drain.acknowledged, drain.lastMoved) = (progress.bytes, receiver?.acknowledged, now)
            }
            if now >= drain.until || now - drain.lastMoved >= timing.drainSilence {
                return drained(.refuseUpload(code))
            }
            state = .draining(progress, code, drain)
            return []
        case .undecided(let code, bytes: _, hasUpload: _, let until):
            return now >= until ? ended(.failed(code), now: now) : []
        case .ended: return []
        }
    }

    /// It cannot go on, for a reason found here.
    private mutating func broke(_ code: FailureCode, now: NIODeadline) -> [Action] {
        let until = now + timing.verdict
        switch state {
        case .parked:
            state = .undecided(code, bytes: 0, hasUpload: false, until: until)
            return [.report(.cut(code, bytes: 0))]
        case .streaming(let progress), .finishing(let progress):
            state = .undecided(code, bytes: progress.bytes, hasUpload: true, until: until)
            return [.cutDownload(code), .report(.cut(code, bytes: progress.bytes))]
        case .draining(_, let code, _): return drained(.refuseUpload(code))
        case .undecided, .ended: return []
        }
    }

    /// For how long what is on its way is passed on after the transfer has ended with `code`; nil: not at all. A sender
    /// that is gone sends no more. One that is not hears at once why it is over, and is answered in time.
    private func drainTime(_ code: FailureCode) -> TimeAmount? {
        if code == .senderGone { return timing.drain }
        return code == .receiverGone ? min(timing.verdict, timing.drain) : nil
    }

    /// Nothing more is passed on.
    private mutating func drained(_ upload: Action) -> [Action] {
        guard case .draining(let progress, let code, _) = state else { return [] }
        state = .ended
        return [.cutDownload(code), upload, .report(.cut(code, bytes: progress.bytes))]
    }

    private static func setBlocked(_ isBlocked: Bool, _ progress: inout Progress, _ now: NIODeadline) {
        if isBlocked && !progress.isBlocked { progress.lastTaken = now }
        progress.isBlocked = isBlocked
        progress.wasBlocked = progress.wasBlocked || isBlocked
    }

    private func lapse(_ progress: inout Progress, _ receiver: ReceiverState?, _ now: NIODeadline) -> FailureCode? {
        if let code = receiverLapse(&progress, receiver, now) { return code }
        // A sender that we held back is not the slow one. A good start counts for nothing afterwards.
        if progress.wasBlocked || progress.bytes - progress.bytesAtMark >= timing.minimumBytes {
            progress.mark = now
            progress.bytesAtMark = progress.bytes
            progress.wasBlocked = progress.isBlocked
        }
        return now - progress.mark >= timing.progressWindow ? .stalled : nil
    }

    private func receiverLapse(
        _ progress: inout Progress, _ receiver: ReceiverState?, _ now: NIODeadline
    ) -> FailureCode? {
        if let receiver {
            if receiver.hasUnacknowledged, receiver.sinceAcknowledgement >= timing.silence { return gone }
            if receiver.acknowledged != progress.acknowledged {
                progress.acknowledged = receiver.acknowledged
                progress.lastTaken = now
            }
        }
        let hasSomethingToTake: Bool
        switch state {
        case .finishing: hasSomethingToTake = true
        case .parked, .streaming, .draining, .undecided, .ended: hasSomethingToTake = progress.isBlocked
        }
        if !hasSomethingToTake { progress.lastTaken = now }
        return timing.stall.map { now - progress.lastTaken >= $0 } ?? false ? .stalled : nil
    }
}
