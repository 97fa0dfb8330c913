// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct PipelineMachineTests {
    private func time(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

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
        // A reply that comes after all is nobody's.
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

    @Test func theQueueHasLimits() {
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
