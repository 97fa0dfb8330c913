// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import RelayClient

@Suite struct OutboxTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private let transfer = TransferID.random()

    private func message(_ number: UInt64, isDecline: Bool) -> ClientMessage {
        let id = RequestID.sequence(.client, number)
        return isDecline
            ? .decline(.init(id: id, transfer: transfer, code: .declined))
            : .cancel(.init(id: id, transfer: transfer, code: .cancelled))
    }

    @Test func onlyTheFirstToAddIsTheSenderUntilNothingIsLeft() {
        var outbox = Outbox()
        #expect(outbox.add(message(1, isDecline: false)) == true)
        #expect(outbox.add(message(2, isDecline: false)) == false)
        #expect(outbox.next(now: start) == .send(message(1, isDecline: false)))
        #expect(outbox.next(now: start) == .send(message(2, isDecline: false)))
        // What is sent last may still be on its way: whoever adds now leaves the sending to that sender.
        #expect(outbox.add(message(3, isDecline: true)) == false)
        #expect(outbox.next(now: start) == .send(message(3, isDecline: true)))
        #expect(outbox.next(now: start) == .nothing)
        #expect(outbox.add(message(4, isDecline: false)) == true)
    }

    /// The refusals of a flood must not hold up the transfer that somebody waits for.
    @Test func whatSomebodyWaitsForGoesBeforeRefusals() {
        var outbox = Outbox()
        for number in 1...40 { _ = outbox.add(message(UInt64(number), isDecline: true)) }
        var sent: [ClientMessage] = []
        var now = start
        while case .send(let message) = outbox.next(now: now) { sent.append(message) }
        #expect(sent == (1...Defaults.messageBurst).map { message(UInt64($0), isDecline: true) })
        _ = outbox.add(message(50, isDecline: false))
        _ = outbox.add(message(51, isDecline: false))
        sent = []
        while sent.count < 4 {
            switch outbox.next(now: now) {
            case .send(let message): sent.append(message)
            case .wait(let pause):
                #expect(pause > now)
                now = pause
            case .nothing:
                Issue.record("13 refusals are left")
                return
            }
        }
        #expect(sent.prefix(2) == [message(50, isDecline: false), message(51, isDecline: false)])
        #expect(sent.suffix(2) == [message(28, isDecline: true), message(29, isDecline: true)])
    }
}
