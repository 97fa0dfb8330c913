// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import TransferBroker
import WSProtocol

@testable import StreamRelay

@Suite struct StreamMachineTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private typealias Receiver = StreamMachine.ReceiverState

    @Test func goesFromParkedToFinished() {
        let machine = Driver(in: .parked)
        #expect(
            machine.joined(length: 7, now: Self.start) == [.startDownload(length: 7), .startUpload, .report(.joined)])
        #expect(machine.forwarded(3))
        #expect(machine.forwarded(4))
        #expect(machine.uploadCompleted() == [.finishDownload])
        #expect(
            machine.downloadFlushed()
                == [.closeDownload, .answerUpload(bytes: 7), .report(.finished(bytes: 7))]
        )
        #expect(machine.isEnded)
    }

    enum Phase: CaseIterable { case parked, streaming, finishing, draining, undecided, undecidedWithoutUpload, ended }
    enum Event: CaseIterable {
        case joined, forwarded, completed, flushed, malformed, uploadCut, downloadCut, failed, lost, delivered, ticked,
            overdue
    }

    /// What each event does in each phase, with 5 bytes forwarded where bytes flow.
    private static func expected(_ phase: Phase, _ event: Event) -> [StreamMachine.Action] {
        switch (phase, event) {
        case (.parked, .joined): [.startDownload(length: nil), .startUpload, .report(.joined)]
        case (.streaming, .joined), (.finishing, .joined), (.draining, .joined), (.undecided, .joined),
            (.ended, .joined):
            [.refuseUpload(.receiverGone)]
        case (.draining, .completed), (.draining, .downloadCut), (.draining, .failed), (.draining, .lost),
            (.draining, .delivered), (.draining, .overdue):
            [.cutDownload(.senderGone), .refuseUpload(.senderGone), .report(.cut(.senderGone, bytes: 5))]
        case (.draining, .malformed):
            [.cutDownload(.senderGone), .refuseMalformedUpload, .report(.cut(.senderGone, bytes: 5))]
        case (.draining, .uploadCut): [.cutDownload(.senderGone), .cutUpload, .report(.cut(.senderGone, bytes: 5))]
        case (.parked, .lost): [.refuseDownload(.senderGone), .report(.cut(.senderGone, bytes: 0))]
        case (.finishing, .lost):
            [.cutDownload(.senderGone), .refuseUpload(.senderGone), .report(.cut(.senderGone, bytes: 5))]
        case (.undecided, .lost): [.refuseUpload(.senderGone)]
        case (.streaming, .completed): [.finishDownload]
        case (.finishing, .flushed): [.closeDownload, .answerUpload(bytes: 5), .report(.finished(bytes: 5))]
        case (.streaming, .uploadCut): [.cutDownload(.senderGone), .cutUpload, .report(.cut(.senderGone, bytes: 5))]
        case (.streaming, .malformed):
            [.cutDownload(.malformedBody), .refuseMalformedUpload, .report(.cut(.malformedBody, bytes: 5))]
        case (.parked, .downloadCut): [.report(.cut(.receiverGone, bytes: 0))]
        case (.streaming, .downloadCut), (.finishing, .downloadCut):
            [.cutDownload(.receiverGone), .report(.cut(.receiverGone, bytes: 5))]
        case (.undecided, .uploadCut): [.cutUpload]
        case (.parked, .failed), (.parked, .delivered):
            [
                .refuseDownload(event == .failed ? .noSpace : .cancelled),
                .report(.cut(event == .failed ? .noSpace : .cancelled, bytes: 0)),
            ]
        case (.streaming, .failed), (.finishing, .failed):
            [.cutDownload(.noSpace), .refuseUpload(.noSpace), .report(.cut(.noSpace, bytes: 5))]
        case (.streaming, .delivered), (.finishing, .delivered):
            [.cutDownload(.cancelled), .answerUpload(bytes: 5), .report(.cut(.cancelled, bytes: 5))]
        case (.undecided, .failed): [.refuseUpload(.noSpace)]
        case (.undecided, .delivered): [.answerUpload(bytes: 5)]
        case (.undecided, .overdue): [.refuseUpload(.receiverGone)]
        default: []
        }
    }

    @Test func everyCellOfTheTable() {
        for phase in Phase.allCases {
            for event in Event.allCases {
                let machine = Driver(in: phase)
                let actions: [StreamMachine.Action]
                switch event {
                case .joined: actions = machine.joined(length: nil, now: Self.start)
                case .forwarded:
                    let hasPlace = machine.forwarded(1)
                    #expect(hasPlace == (phase == .streaming || phase == .draining))
                    actions = []
                case .completed: actions = machine.uploadCompleted()
                case .flushed: actions = machine.downloadFlushed()
                case .malformed: actions = machine.uploadMalformed()
                case .uploadCut: actions = machine.uploadCut()
                case .downloadCut: actions = machine.downloadCut()
                case .failed: actions = machine.ended(.failed(.noSpace))
                case .lost: actions = machine.ended(.failed(.senderGone))
                case .delivered: actions = machine.ended(.delivered)
                case .ticked: actions = machine.ticked(receiver: nil, now: Self.start + .seconds(1))
                case .overdue: actions = machine.ticked(receiver: nil, now: Self.start + .seconds(2))
                }
                #expect(actions == Self.expected(phase, event), "\(phase) \(event)")
            }
        }
    }

    /// The peer that cut it may be about to say why: the answer is the one in its message, and comes in any case.
    @Test func aSenderWhoComesToABrokenStreamHearsHowTheTransferEnded() {
        for outcome in [TransferOutcome.failed(.noSpace), .delivered, nil] {
            let machine = Driver(in: .undecidedWithoutUpload)
            #expect(machine.joined(length: 7, now: Self.start) == [])
            #expect(!machine.forwarded(7), "it has nowhere to go")
            let answer =
                outcome.map { machine.ended($0) } ?? machine.ticked(receiver: nil, now: Self.start + .seconds(2))
            switch outcome {
            case .failed(let code)?: #expect(answer == [.refuseUpload(code)])
            case .delivered?: #expect(answer == [.answerUpload(bytes: 0)])
            case nil: #expect(answer == [.refuseUpload(.receiverGone)])
            }
            #expect(machine.isEnded)
        }
    }

    @Test func aParkedReceiverIsRefusedAfterTheAttachTimeout() {
        let machine = Driver(in: .parked)
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(29)) == [])
        #expect(
            machine.ticked(receiver: nil, now: Self.start + .seconds(30))
                == [.refuseDownload(.expired), .report(.cut(.expired, bytes: 0))]
        )
    }

    @Test func aSenderThatDripsIsEnded() {
        let machine = Driver(in: .streaming)
        #expect(machine.forwarded(30 * 1024))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(30)) == [])
        #expect(machine.forwarded(100))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(59)) == [])
        #expect(
            machine.ticked(receiver: nil, now: Self.start + .seconds(60)).contains(
                .report(.cut(.stalled, bytes: machine.bytes))))
    }

    @Test func aSenderThatIsHeldBackIsNotEndedAsSlow() {
        let machine = Driver(in: .streaming)
        machine.blockedChanged(true, now: Self.start)
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(31)) == [])
        machine.blockedChanged(false, now: Self.start + .seconds(32))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(61)) == [])
        // From the first look without any hold it has all the time there is.
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(90)) == [])
        #expect(
            machine.ticked(receiver: nil, now: Self.start + .seconds(91)).contains(
                .report(.cut(.stalled, bytes: machine.bytes))))
    }

    @Test func aReceiverThatTakesNothingIsEndedAfterAMinute() {
        for phase in [Phase.streaming, .finishing] {
            let machine = Driver(in: phase)
            machine.blockedChanged(true, now: Self.start)
            let still = Receiver(acknowledged: 9, hasUnacknowledged: false, sinceAcknowledgement: .seconds(1))
            #expect(machine.ticked(receiver: still, now: Self.start + .seconds(5)) == [])
            #expect(machine.ticked(receiver: still, now: Self.start + .seconds(64)) == [])
            #expect(
                machine.ticked(receiver: still, now: Self.start + .seconds(65)).contains(
                    .report(.cut(.stalled, bytes: machine.bytes))))
        }
    }

    @Test func aSlowReceiverThatTakesAnythingAtAllGoesOn() {
        let machine = Driver(in: .streaming)
        machine.blockedChanged(true, now: Self.start)
        for second in stride(from: Int64(5), to: 600, by: 5) {
            let receiver = Receiver(
                acknowledged: UInt64(second), hasUnacknowledged: false, sinceAcknowledgement: .seconds(1)
            )
            #expect(machine.ticked(receiver: receiver, now: Self.start + .seconds(second)) == [])
        }
    }

    @Test func aFastStartDoesNotExcuseASlowSenderLater() {
        let machine = Driver(in: .streaming)
        #expect(machine.forwarded(1 << 20))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(1)) == [])
        #expect(machine.forwarded(30 * 1024 - 1))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(30)) == [])
        #expect(
            machine.ticked(receiver: nil, now: Self.start + .seconds(31)).contains(
                .report(.cut(.stalled, bytes: machine.bytes))))
    }

    @Test func aSenderThatBringsJustEnoughGoesOn() {
        let machine = Driver(in: .streaming)
        for second in Int64(1)..<600 {
            #expect(machine.forwarded(1024))
            #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(second)) == [])
        }
    }

    @Test func aReceiverWhoseNetworkIsGoneIsEndedAfterFifteenSeconds() {
        let machine = Driver(in: .streaming)
        let pausing = Receiver(acknowledged: 1, hasUnacknowledged: false, sinceAcknowledgement: .seconds(30))
        let quiet = Receiver(acknowledged: 1, hasUnacknowledged: true, sinceAcknowledgement: .seconds(13))
        let gone = Receiver(acknowledged: 1, hasUnacknowledged: true, sinceAcknowledgement: .seconds(14))
        #expect(machine.ticked(receiver: pausing, now: Self.start + .seconds(5)) == [])
        #expect(machine.ticked(receiver: quiet, now: Self.start + .seconds(5)) == [])
        #expect(
            machine.ticked(receiver: gone, now: Self.start + .seconds(5)).contains(
                .report(.cut(.receiverGone, bytes: 5))))
    }

    @Test func whatALostSenderHadSentStillGoesToTheReceiver() {
        let machine = Driver(in: .draining)
        // As long as something moves, and no longer.
        for second in 1...14 {
            #expect(machine.forwarded(1))
            #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(Int64(second))) == [])
        }
        #expect(machine.forwarded(1))
        #expect(
            machine.ticked(receiver: nil, now: Self.start + .seconds(15)) == [
                .cutDownload(.senderGone), .refuseUpload(.senderGone), .report(.cut(.senderGone, bytes: 20)),
            ])
    }

    @Test func aReceiverThatStillTakesWhatIsOnItsWayIsWaitedFor() {
        let machine = Driver(in: .draining)
        for second in Int64(1)...14 {
            let taking = Receiver(
                acknowledged: UInt64(second), hasUnacknowledged: true, sinceAcknowledgement: .milliseconds(1))
            #expect(machine.ticked(receiver: taking, now: Self.start + .seconds(second)) == [])
        }
    }

    @Test func aReceiverThatTakesNothingMoreIsNotWaitedFor() {
        let machine = Driver(in: .draining)
        let still = Receiver(acknowledged: 9, hasUnacknowledged: false, sinceAcknowledgement: .seconds(1))
        #expect(machine.ticked(receiver: still, now: Self.start + .seconds(1)) == [])
        #expect(machine.ticked(receiver: still, now: Self.start + .seconds(2)) == [])
        #expect(machine.ticked(receiver: still, now: Self.start + .seconds(3)).first == .cutDownload(.senderGone))
    }

    /// A sender that is there is answered as soon as it is told.
    @Test func aSenderWhoseReceiverIsGoneIsAnsweredInTime() {
        let machine = Driver(in: .streaming)
        #expect(machine.ended(.failed(.receiverGone)) == [])
        #expect(machine.forwarded(1))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(1)) == [])
        #expect(machine.forwarded(1))
        #expect(
            machine.ticked(receiver: nil, now: Self.start + .seconds(2)).contains(.refuseUpload(.receiverGone)))
    }

    /// A machine in a given phase, behind a reference, so that expectations can feed it.
    private final class Driver {
        private var machine: StreamMachine

        init(in phase: Phase) {
            machine = StreamMachine(now: start)
            if phase == .parked { return }
            if phase == .undecidedWithoutUpload {
                _ = machine.downloadCut(now: start)
                return
            }
            _ = machine.joined(length: nil, now: start)
            _ = machine.forwarded(5)
            if phase == .streaming { return }
            if phase == .draining {
                _ = machine.ended(.failed(.senderGone), now: start)
                return
            }
            _ = machine.uploadCompleted()
            if phase == .finishing { return }
            if phase == .undecided {
                _ = machine.downloadCut(now: start)
                return
            }
            _ = machine.downloadFlushed()
        }

        var isEnded: Bool { machine.isEnded }
        func joined(length: UInt64?, now: NIODeadline) -> [StreamMachine.Action] {
            machine.joined(length: length, now: now)
        }
        func forwarded(_ count: Int) -> Bool { machine.forwarded(count) }
        func blockedChanged(_ isBlocked: Bool, now: NIODeadline) { machine.blockedChanged(isBlocked, now: now) }
        func uploadCompleted() -> [StreamMachine.Action] { machine.uploadCompleted() }
        func downloadFlushed() -> [StreamMachine.Action] { machine.downloadFlushed() }
        func uploadMalformed() -> [StreamMachine.Action] { machine.uploadMalformed() }
        func uploadCut() -> [StreamMachine.Action] { machine.uploadCut(.senderGone) }
        func downloadCut() -> [StreamMachine.Action] { machine.downloadCut(now: start) }
        func ended(_ outcome: TransferOutcome) -> [StreamMachine.Action] {
            machine.ended(outcome, now: start)
        }
        var bytes: UInt64 { machine.forwardedBytes }
        func ticked(receiver: Receiver?, now: NIODeadline) -> [StreamMachine.Action] {
            machine.ticked(receiver: receiver, now: now)
        }
    }
}
