// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Pacing
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite struct MessageBudgetsTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let alice = PeerName(rawValue: "alice")!
    private let bob = PeerName(rawValue: "bob")!

    private func table(_ capacity: Int = 1000) -> PaceTable<Int> {
        PaceTable(limits: .init(perSecond: 100, burst: 10), longest: .seconds(5), capacity: capacity)
    }

    @Test func whoIsFullAgainIsForgotten() {
        var table = table()
        for key in 0..<900 { _ = table.reserve(1, for: key, now: start + .milliseconds(Int64(key) * 10)) }
        #expect(table.count <= 64)
    }

    @Test func aTableIsBounded() {
        var table = table(4)
        for key in 0..<100 { _ = table.reserve(10, for: key, now: start) }
        #expect(table.count == 4)
        // Who found no place shares one budget, which the 96 have used up; the four have theirs.
        let waits = [500, 0].map { table.reserve(1, for: $0, now: start) }
        #expect(waits == [.seconds(5), .milliseconds(10)])
        // Once they are full again, there is room.
        let later = table.reserve(10, for: 500, now: start + .seconds(1))
        #expect(later == .zero)
    }

    @Test func eachUserHasABudgetAndSoHasEachAddress() {
        let budgets = MessageBudgets(user: .init(perSecond: 100, burst: 10), address: .init(perSecond: 100, burst: 15))
        func wait(_ name: PeerName?, _ address: String?) -> MessageBudgets.Wait? {
            budgets.reserve(10, user: name, address: address, now: start)
        }
        #expect(wait(alice, nil) == nil)
        #expect(wait(alice, nil) == .init(time: .milliseconds(100), scope: .user))
        #expect(wait(bob, "192.0.2.1") == nil)
        #expect(wait(nil, "192.0.2.1") == .init(time: .milliseconds(50), scope: .address))
        #expect(wait(nil, "192.0.2.2") == nil)
        #expect(wait(nil, nil) == nil)
    }

    @Test func whatCostsMoreIsPaidForAsMore() throws {
        let id = RequestID.sequence(.client, 1)
        #expect(MessageCost.ofReading(0) == 1 && MessageCost.ofReading(4095) == 1)
        #expect(MessageCost.ofReading(MessageCodec.maximumLength) == 17)
        #expect(MessageCost.ofDoing(.success(.ping(.init(id: id)))) == 0)
        #expect(MessageCost.ofDoing(.success(.lookup(.init(id: id, name: alice)))) == 1)
        let note = try #require(Payload(bytes: [UInt8](repeating: 0, count: Payload.maximumLength)))
        #expect(MessageCost.ofDoing(.success(.note(.init(id: id, transfer: .random(), payload: note)))) == 42)
        let request = ClientMessage.Request(id: id, request: .random(), to: alice, payload: note)
        #expect(MessageCost.ofDoing(.success(.request(request))) == 43)
        #expect(MessageCost.ofDoing(.success(.withdraw(.init(id: id, request: .random())))) == 0)
        #expect(MessageCost.ofDoing(.failure(.init(code: .badMessage, id: id))) == 1)
    }

    /// Two hundred small files a second: what section 1.2 of the protocol promises, and `relay-client` needs.
    @Test func twoHundredFilesASecondAreNeverHeldBack() throws {
        let budgets = MessageBudgets()
        let payload = try #require(Payload(bytes: Array(repeating: 0, count: 200)))
        let id = RequestID.sequence(.client, 1)
        let transfer = TransferID.random()
        let said: [(PeerName, ClientMessage)] = [
            (alice, .offer(.init(id: id, transfer: transfer, to: bob, wait: true, payload: payload))),
            (bob, .accept(.init(id: id, transfer: transfer, payload: payload))),
            (bob, .progress(.init(id: id, transfer: transfer, bytes: 1))),
            (bob, .delivered(.init(id: id, transfer: transfer, payload: payload))),
        ]
        for file in 0..<10_000 {
            let now = start + .milliseconds(Int64(file) * 5)
            for (name, message) in said {
                let units = MessageCost.ofReading(500) + MessageCost.ofDoing(.success(message))
                #expect(budgets.reserve(units, user: name, address: "192.0.2.1", now: now) == nil)
            }
        }
    }
}
