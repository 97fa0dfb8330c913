// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayServer

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

    enum Phase: CaseIterable { case parked, streaming, finishing, ended }
    enum Event: CaseIterable {
        case joined, forwarded, completed, flushed, malformed, uploadCut, downloadCut, aborted, ticked
    }

    /// What each event does in each phase, with 5 bytes forwarded where bytes flow.
    private static func expected(_ phase: Phase, _ event: Event) -> [StreamMachine.Action] {
        switch (phase, event) {
        case (.parked, .joined): [.startDownload(length: nil), .startUpload, .report(.joined)]
        case (.streaming, .joined), (.finishing, .joined), (.ended, .joined): [.refuseUpload(.receiverGone)]
        case (.streaming, .completed): [.finishDownload]
        case (.finishing, .flushed): [.closeDownload, .answerUpload(bytes: 5), .report(.finished(bytes: 5))]
        case (.streaming, .uploadCut): [.cutDownload(.senderGone), .cutUpload, .report(.cut(.senderGone, bytes: 5))]
        case (.streaming, .malformed):
            [.cutDownload(.senderGone), .refuseMalformedUpload, .report(.cut(.senderGone, bytes: 5))]
        case (.parked, .downloadCut): [.report(.cut(.receiverGone, bytes: 0))]
        case (.streaming, .downloadCut), (.finishing, .downloadCut):
            [.cutDownload(.receiverGone), .refuseUpload(.receiverGone), .report(.cut(.receiverGone, bytes: 5))]
        case (.parked, .aborted): [.refuseDownload(.cancelled), .report(.cut(.cancelled, bytes: 0))]
        case (.streaming, .aborted), (.finishing, .aborted):
            [.cutDownload(.cancelled), .refuseUpload(.cancelled), .report(.cut(.cancelled, bytes: 5))]
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
                    #expect(hasPlace == (phase == .streaming))
                    actions = []
                case .completed: actions = machine.uploadCompleted()
                case .flushed: actions = machine.downloadFlushed()
                case .malformed: actions = machine.uploadMalformed()
                case .uploadCut: actions = machine.uploadCut()
                case .downloadCut: actions = machine.downloadCut()
                case .aborted: actions = machine.aborted(.cancelled)
                case .ticked: actions = machine.ticked(receiver: nil, now: Self.start + .seconds(1))
                }
                #expect(actions == Self.expected(phase, event), "\(phase) \(event)")
            }
        }
    }

    @Test func aReceiverWaitsOnlySoLong() {
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
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(60)).contains(.refuseUpload(.stalled)))
    }

    @Test func aSenderThatIsHeldBackIsNotTheSlowOne() {
        let machine = Driver(in: .streaming)
        machine.blockedChanged(true, now: Self.start)
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(31)) == [])
        machine.blockedChanged(false, now: Self.start + .seconds(32))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(61)) == [])
        // From the first look without any hold it has all the time there is.
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(90)) == [])
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(91)).contains(.refuseUpload(.stalled)))
    }

    @Test func aReceiverThatTakesNothingIsEndedAfterAMinute() {
        for phase in [Phase.streaming, .finishing] {
            let machine = Driver(in: phase)
            machine.blockedChanged(true, now: Self.start)
            let still = Receiver(acknowledged: 9, hasUnacknowledged: false, sinceAcknowledgement: .seconds(1))
            #expect(machine.ticked(receiver: still, now: Self.start + .seconds(5)) == [])
            #expect(machine.ticked(receiver: still, now: Self.start + .seconds(64)) == [])
            #expect(machine.ticked(receiver: still, now: Self.start + .seconds(65)).contains(.refuseUpload(.stalled)))
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

    @Test func aGoodStartCountsForNothingAfterwards() {
        let machine = Driver(in: .streaming)
        #expect(machine.forwarded(1 << 20))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(1)) == [])
        #expect(machine.forwarded(30 * 1024 - 1))
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(30)) == [])
        #expect(machine.ticked(receiver: nil, now: Self.start + .seconds(31)).contains(.refuseUpload(.stalled)))
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
        #expect(machine.ticked(receiver: gone, now: Self.start + .seconds(5)).contains(.refuseUpload(.receiverGone)))
    }

    /// A machine in a given phase, behind a reference, so that expectations can feed it.
    private final class Driver {
        private var machine: StreamMachine

        init(in phase: Phase) {
            machine = StreamMachine(now: start)
            if phase == .parked { return }
            _ = machine.joined(length: nil, now: start)
            _ = machine.forwarded(5)
            if phase == .streaming { return }
            _ = machine.uploadCompleted()
            if phase == .finishing { return }
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
        func downloadCut() -> [StreamMachine.Action] { machine.downloadCut() }
        func aborted(_ code: FailureCode) -> [StreamMachine.Action] { machine.aborted(code) }
        func ticked(receiver: Receiver?, now: NIODeadline) -> [StreamMachine.Action] {
            machine.ticked(receiver: receiver, now: now)
        }
    }
}
