// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct DeliveryMachineTests {
    typealias State = DeliveryMachine.State

    private static let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let end = begin + TransferDefaults.patience
    private static let change = FileError(code: .changed, "it was changed", "look")

    private enum Location: CaseIterable {
        case later
        case unchecked
        case rechecking
        case rescanning
        case offered
        case dropped
        case over

        /// Whether there is neither an attempt nor an end.
        var isBefore: Bool {
            switch self {
            case .later, .unchecked, .rechecking, .rescanning: true
            case .offered, .dropped, .over: false
            }
        }
    }

    private enum Event: CaseIterable {
        case rechecks
        case rechecked
        case changed
        case changedForGood
        case rescanned
        case dropped
        case offered
        case moved
        case reverted
        case taken
        case accepted
        case started
        case othersMoved
        case connectionLost
        case ended
        case endedWhole
        case failed
        case failedForGood
        case failedUnrepeatable
        case due
        case late
        case lateWhileBusy
    }

    /// What the owner is answered.
    private enum Answer: Hashable {
        case nothing
        case restart(FileError?)
        case verdict(DeliveryMachine.Verdict)
        case isLate(Bool)
    }

    private static func machine() -> DeliveryMachine {
        DeliveryMachine(waits: false, patience: TransferDefaults.patience, now: begin)
    }

    private static func machine(_ place: Location) throws -> DeliveryMachine {
        var machine = machine()
        switch place {
        case .later: _ = try fail(&machine)
        case .unchecked, .rechecking:
            machine.offered()
            machine.ended(isAllSent: false)
            if place == .rechecking { machine.rechecks() }
        case .rescanning: _ = machine.changed(change, isRepeatable: true, now: begin)
        case .offered: machine.offered()
        case .dropped:
            machine.offered()
            machine.dropped()
        case .over: machine.dropped()
        }
        return machine
    }

    /// An attempt has failed.
    private static func fail(
        _ machine: inout DeliveryMachine, _ outcome: SendMachine.Outcome = .unanswered, isRepeatable: Bool = true,
        now: NIODeadline = begin
    ) throws -> DeliveryMachine.Verdict {
        var generator = Constant()
        let transfer = AttemptFailure.Transfer(
            peer: try #require(TransferSamples.alice), relay: "relay.example.com", patience: TransferDefaults.patience)
        let failure = AttemptFailure(outcome, AttemptResult(), of: transfer)
        return machine.failed(failure, isRepeatable: isRepeatable, now: now, using: &generator)
    }

    private static func feed(_ event: Event, to machine: inout DeliveryMachine) throws -> Answer {
        switch event {
        case .rechecks: machine.rechecks()
        case .rechecked: machine.rechecked()
        case .changed: return .restart(machine.changed(change, isRepeatable: true, now: begin))
        case .changedForGood: return .restart(machine.changed(change, isRepeatable: false, now: begin))
        case .rescanned: machine.rescanned()
        case .dropped: machine.dropped()
        case .offered: machine.offered()
        case .moved: machine.moved()
        case .reverted: machine.reverted()
        case .taken: machine.taken(now: begin)
        case .accepted: machine.accepted()
        case .started: machine.started(now: begin)
        case .othersMoved: machine.othersMoved(now: begin)
        case .connectionLost: machine.connectionLost("cut")
        case .ended: machine.ended(isAllSent: false)
        case .endedWhole: machine.ended(isAllSent: true)
        case .failed: return .verdict(try fail(&machine))
        case .failedForGood: return .verdict(try fail(&machine, .cancelled))
        case .failedUnrepeatable: return .verdict(try fail(&machine, isRepeatable: false))
        case .due:
            return .isLate(machine.deadlinePassed(isReceiverBusy: false, now: begin + TransferDefaults.firstPause))
        case .late: return .isLate(machine.deadlinePassed(isReceiverBusy: false, now: end))
        case .lateWhileBusy: return .isLate(machine.deadlinePassed(isReceiverBusy: true, now: end))
        }
        return .nothing
    }

    /// Where `event` leads from `place`; nil where it changes nothing.
    private static func state(_ place: Location, _ event: Event) -> State? {
        switch (place, event) {
        case (.later, .rechecks), (.unchecked, .rechecks): .rechecking
        case (.rechecking, .rechecked), (.rescanning, .rescanned): .waiting(until: nil, isChecked: true)
        case (_, .changed) where place.isBefore: .rescanning
        case (_, .changedForGood) where place.isBefore: .over
        case (_, .dropped) where place.isBefore: .over
        case (.offered, .dropped): .dropped
        case (.later, .offered), (.unchecked, .offered): .offered
        case (.later, .reverted), (.unchecked, .reverted), (.rechecking, .reverted): .offered
        case (.offered, .moved), (.offered, .ended): .waiting(until: nil, isChecked: false)
        case (.offered, .endedWhole): .waiting(until: nil, isChecked: true)
        case (.dropped, .ended), (.dropped, .endedWhole): .over
        // The second pause is twice as long.
        case (.later, .failed): .waiting(until: begin + .milliseconds(400), isChecked: true)
        case (.unchecked, .failed): .waiting(until: begin + .milliseconds(200), isChecked: false)
        case (.later, .failedForGood), (.later, .failedUnrepeatable): .over
        case (.unchecked, .failedForGood), (.unchecked, .failedUnrepeatable): .over
        case (.later, .due), (.later, .lateWhileBusy): .waiting(until: nil, isChecked: true)
        case (_, .late) where place.isBefore: .over
        case (.later, _), (.unchecked, _), (.rechecking, _), (.rescanning, _), (.offered, _), (.dropped, _), (.over, _):
            nil
        }
    }

    private static func answer(_ place: Location, _ event: Event) -> Answer {
        switch (place, event) {
        case (_, .changed): .restart(place.isBefore ? nil : change)
        case (_, .changedForGood): .restart(change)
        case (.later, .failed): .verdict(.tryAgain(isNews: false))
        case (.unchecked, .failed): .verdict(.tryAgain(isNews: true))
        case (.later, .failedUnrepeatable), (.unchecked, .failedUnrepeatable): .verdict(.unrepeatable)
        case (_, .failed), (_, .failedForGood), (_, .failedUnrepeatable): .verdict(.fail)
        case (.offered, .late), (.dropped, .late): .isLate(true)
        case (_, .due), (_, .late), (_, .lateWhileBusy): .isLate(false)
        case (.later, _), (.unchecked, _), (.rechecking, _), (.rescanning, _), (.offered, _), (.dropped, _), (.over, _):
            .nothing
        }
    }

    @Test func everyStateAndEvent() throws {
        for place in Location.allCases {
            for event in Event.allCases {
                var machine = try Self.machine(place)
                let before = machine.state
                let answer = try Self.feed(event, to: &machine)
                let comment = Comment(rawValue: "\(place), \(event)")
                #expect(machine.state == Self.state(place, event) ?? before, comment)
                #expect(answer == Self.answer(place, event), comment)
            }
        }
    }

    @Test func whatIsWaitedForHasADeadline() throws {
        var later = try Self.machine(.later)
        let due = Self.begin + TransferDefaults.firstPause
        #expect(later.deadline == due && later.giveUpAt == Self.end)
        #expect(!later.isDue(now: Self.begin) && later.isDue(now: due))
        _ = later.deadlinePassed(isReceiverBusy: false, now: due)
        #expect(later.deadline == Self.end && later.isDue(now: Self.begin))

        var offered = try Self.machine(.offered)
        #expect(offered.deadline == Self.end && !offered.isDue(now: Self.end) && !offered.isStreaming)
        offered.started(now: Self.begin)
        #expect(offered.deadline == nil && offered.isStreaming)

        var busy = try Self.machine(.unchecked)
        #expect(busy.needsCheck && busy.isDue(now: Self.begin))
        _ = busy.deadlinePassed(isReceiverBusy: true, now: Self.end)
        #expect(busy.deadline == Self.end + TransferDefaults.patience)
        // What has changed has all the time that it had at first.
        _ = busy.changed(Self.change, isRepeatable: true, now: Self.begin)
        #expect(busy.deadline == Self.end && !busy.needsCheck)
    }

    @Test func whatComesTooLateIsGivenUp() throws {
        var machine = try Self.machine(.later)
        #expect(try Self.fail(&machine, now: Self.end) == .giveUp)
        #expect(machine.state == .over)
    }

    @Test func whatChangesAllTheTimeIsNotSentAnew() {
        var machine = Self.machine()
        for _ in 0..<TransferDefaults.mostRestarts {
            #expect(machine.changed(Self.change, isRepeatable: true, now: Self.begin) == nil)
        }
        let error = machine.changed(Self.change, isRepeatable: true, now: Self.begin)
        #expect(error == Self.change.again(TransferDefaults.mostRestarts + 1) && machine.state == .over)
    }

    @Test func aReceiverWhoHasAcceptedWaitsForWhatItIsNow() {
        var machine = Self.machine()
        #expect(!machine.isAccepted && !machine.isAwaited && !machine.waits)
        machine.offered()
        machine.accepted()
        #expect(machine.isAccepted && machine.isAwaited && machine.waits)
        machine.ended(isAllSent: false)
        _ = machine.changed(Self.change, isRepeatable: true, now: Self.begin)
        #expect(!machine.isAccepted && machine.isAwaited && machine.waits)
    }

    @Test func whatWasSentWholeIsNotLookedAtAgain() {
        var machine = Self.machine()
        machine.offered()
        machine.ended(isAllSent: true)
        machine.offered()
        machine.moved()
        #expect(machine.state == .waiting(until: nil, isChecked: true))
        // What it is now was not sent.
        _ = machine.changed(Self.change, isRepeatable: true, now: Self.begin)
        machine.rescanned()
        machine.offered()
        machine.moved()
        #expect(machine.state == .waiting(until: nil, isChecked: false))
    }

    @Test func theSameReasonIsNewsAgainOnceSomethingHasGoneWell() throws {
        var machine = try Self.machine(.later)
        #expect(machine.reason == "the relay does not answer")
        machine.connectionLost("cut")
        #expect(machine.reason == "cut")
        machine.taken(now: Self.begin)
        #expect(machine.reason == nil)
        #expect(try Self.fail(&machine) == .tryAgain(isNews: true))
        #expect(try Self.fail(&machine) == .tryAgain(isNews: false))
    }
}
