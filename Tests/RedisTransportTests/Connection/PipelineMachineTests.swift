// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct PipelineMachineTests {
    private func time(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    private enum Location: CaseIterable {
        case idle
        case waiting
        case full
        case failedAtReply
        case failedAtTime
        case closed
    }

    private func machine(_ place: Location) -> PipelineMachine {
        var machine = PipelineMachine()
        switch place {
        case .idle: break
        case .waiting:
            _ = machine.sendRequested(id: 1, length: 1, deadline: time(2))
            _ = machine.sendRequested(id: 2, length: 1, deadline: time(4))
        case .full: _ = machine.sendRequested(id: 1, length: RedisDefaults.bytesInFlight, deadline: time(2))
        case .failedAtReply: _ = machine.replyReceived()
        case .failedAtTime:
            _ = machine.sendRequested(id: 1, length: 1, deadline: time(2))
            _ = machine.timeCame(time(2))
        case .closed:
            _ = machine.sendRequested(id: 1, length: 1, deadline: time(2))
            _ = machine.closed()
        }
        return machine
    }

    @Test(arguments: Location.allCases) private func everyStateAndEvent(place: Location) {
        var machine = machine(place)
        let sent: PipelineMachine.SendAction =
            switch place {
            case .idle: .sendAndWake(time(3))
            case .waiting: .send
            case .full: .refuse(.overloaded)
            case .failedAtReply, .failedAtTime, .closed: .refuse(.unavailable)
            }
        #expect(machine.sendRequested(id: 9, length: 1, deadline: time(3)) == sent)

        machine = self.machine(place)
        let reply: PipelineMachine.ReplyAction =
            switch place {
            case .idle: .fail
            case .waiting, .full: .deliver(1)
            case .failedAtReply, .failedAtTime, .closed: .none
            }
        #expect(machine.replyReceived() == reply)

        machine = self.machine(place)
        let early: PipelineMachine.TimeAction =
            switch place {
            case .waiting, .full: .wake(time(2))
            case .idle, .failedAtReply, .failedAtTime, .closed: .none
            }
        #expect(machine.timeCame(time(1)) == early)

        machine = self.machine(place)
        let due: PipelineMachine.TimeAction =
            switch place {
            case .waiting: .fail(late: [1], others: [2])
            case .full: .fail(late: [1], others: [])
            case .idle, .failedAtReply, .failedAtTime, .closed: .none
            }
        #expect(machine.timeCame(time(3)) == due)

        machine = self.machine(place)
        let waiting: [Int] =
            switch place {
            case .waiting: [1, 2]
            case .full: [1]
            case .idle, .failedAtReply, .failedAtTime, .closed: []
            }
        #expect(machine.closed() == waiting)
        // Whatever it was, it is closed now.
        #expect(machine.closed().isEmpty)
        #expect(machine.replyReceived() == .none)
        #expect(machine.timeCame(time(9)) == .none)
        #expect(machine.sendRequested(id: 9, length: 1, deadline: time(9)) == .refuse(.unavailable))
    }

    @Test func repliesGoToCommandsInOrder() {
        var machine = PipelineMachine()
        #expect(machine.sendRequested(id: 1, length: 1, deadline: time(2)) == .sendAndWake(time(2)))
        #expect(machine.sendRequested(id: 2, length: 1, deadline: time(3)) == .send)
        #expect(machine.sendRequested(id: 3, length: 1, deadline: time(1)) == .sendAndWake(time(1)))
        #expect(machine.replyReceived() == .deliver(1))
        #expect(machine.replyReceived() == .deliver(2))
        #expect(machine.replyReceived() == .deliver(3))
        #expect(machine.timeCame(time(1)) == .none)
        #expect(machine.sendRequested(id: 4, length: 1, deadline: time(5)) == .sendAndWake(time(5)))
    }

    @Test func aDeadlineEndsTheConnection() {
        var machine = PipelineMachine()
        #expect(machine.sendRequested(id: 1, length: 1, deadline: time(5)) == .sendAndWake(time(5)))
        #expect(machine.sendRequested(id: 2, length: 1, deadline: time(3)) == .sendAndWake(time(3)))
        #expect(machine.sendRequested(id: 3, length: 1, deadline: time(3)) == .send)
        #expect(machine.timeCame(time(2)) == .wake(time(3)))
        #expect(machine.timeCame(time(3)) == .fail(late: [2, 3], others: [1]))
        // A reply that comes after all belongs to no command.
        #expect(machine.replyReceived() == .none)
        #expect(machine.closed() == [])
    }

    @Test func aReplyToNothingEndsTheConnection() {
        var machine = PipelineMachine()
        #expect(machine.replyReceived() == .fail)
        #expect(machine.replyReceived() == .none)
        #expect(machine.sendRequested(id: 1, length: 1, deadline: time(1)) == .refuse(.unavailable))
        #expect(machine.timeCame(time(9)) == .none)
        #expect(machine.closed() == [])
    }

    @Test func commandsBeyondTheLimitsOfTheQueueAreRefused() {
        var machine = PipelineMachine()
        for id in 0..<RedisDefaults.commandsInFlight {
            #expect(machine.sendRequested(id: id, length: 1, deadline: time(2)) != .refuse(.overloaded))
        }
        #expect(machine.sendRequested(id: -1, length: 1, deadline: time(2)) == .refuse(.overloaded))
        #expect(machine.replyReceived() == .deliver(0))
        #expect(machine.sendRequested(id: -1, length: 1, deadline: time(2)) == .send)
        #expect(machine.closed().count == RedisDefaults.commandsInFlight)

        var large = PipelineMachine()
        #expect(
            large.sendRequested(id: 1, length: RedisDefaults.bytesInFlight, deadline: time(1)) == .sendAndWake(time(1)))
        #expect(large.sendRequested(id: 2, length: 1, deadline: time(1)) == .refuse(.overloaded))
        #expect(large.replyReceived() == .deliver(1))
        #expect(large.sendRequested(id: 2, length: 1, deadline: time(1)) == .send)
    }

    @Test func theEndFailsAllThatWait() {
        var machine = PipelineMachine()
        _ = machine.sendRequested(id: 1, length: 1, deadline: time(1))
        _ = machine.sendRequested(id: 2, length: 1, deadline: time(1))
        #expect(machine.closed() == [1, 2])
        #expect(machine.closed() == [])
        #expect(machine.timeCame(time(1)) == .none)
    }
}
