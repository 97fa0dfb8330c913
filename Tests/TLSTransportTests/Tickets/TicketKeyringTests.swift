// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import TLSTransport

@Suite struct TicketKeyringTests {
    private func key(_ number: UInt8, created: Int64 = 0) throws -> TicketKeyring.Key {
        try #require(
            .init(
                name: .init(repeating: number, count: 16), encryption: .init(repeating: number, count: 32),
                authentication: .init(repeating: number, count: 32), created: created))
    }

    @Test func keysHaveExactLengths() {
        let (short, long) = ([UInt8](repeating: 1, count: 16), [UInt8](repeating: 1, count: 32))
        #expect(TicketKeyring.Key(name: short, encryption: long, authentication: long, created: 0) != nil)
        #expect(TicketKeyring.Key(name: long, encryption: long, authentication: long, created: 0) == nil)
        #expect(TicketKeyring.Key(name: short, encryption: short, authentication: long, created: 0) == nil)
        #expect(TicketKeyring.Key(name: short, encryption: long, authentication: [], created: 0) == nil)
    }

    @Test func aKeyIsNeverShown() throws {
        let ring = TicketKeyring(.random(created: 5))
        #expect("\(ring.keys[0])" == "[redacted]")
        #expect(!"\(ring)".contains("name"))
    }

    @Test func holdsOneToThreeKeysOfDifferentNames() throws {
        let keys = try (1...4).map { try key($0) }
        #expect(TicketKeyring(keys: []) == nil)
        #expect(TicketKeyring(keys: keys) == nil)
        #expect(TicketKeyring(keys: [keys[0], keys[0]]) == nil)
        #expect(TicketKeyring(keys: Array(keys[..<3]))?.keys == Array(keys[..<3]))
    }

    @Test func theFourthGenerationIsForgotten() throws {
        var ring = TicketKeyring(try key(1))
        for number in 2...4 { ring.add(try key(UInt8(number))) }
        #expect(ring.keys == [try key(4), try key(3), try key(2)])
        #expect(ring.newest == (try key(4)))
        #expect(ring.key(named: [UInt8](repeating: 4, count: 16))?.isNewest == true)
        #expect(ring.key(named: [UInt8](repeating: 2, count: 16))?.isNewest == false)
        #expect(ring.key(named: [UInt8](repeating: 1, count: 16)) == nil)
    }

    @Test func rotatesWhenTheNewestIsTwelveHoursOld() throws {
        var ring = TicketKeyring(try key(1, created: 100))
        let due = 100 + TLSDefaults.ticketRotation
        ring.rotate(at: due - 1, fresh: { .random(created: $0) })
        #expect(ring.keys.count == 1)
        ring.rotate(at: due, fresh: { .random(created: $0) })
        #expect(ring.keys.map(\.created) == [due, 100])
        #expect(!ring.isDue(at: due))
    }

    @Test func keysThatRestedForTooLongAreForgottenAtOnce() throws {
        var ring = TicketKeyring(try key(1, created: 0))
        ring.rotate(at: TLSDefaults.ticketRotation, fresh: { .random(created: $0) })
        ring.rotate(at: 3 * TLSDefaults.ticketRotation, fresh: { .random(created: $0) })
        #expect(ring.keys.map(\.created) == [3 * TLSDefaults.ticketRotation, TLSDefaults.ticketRotation])
    }

    @Test func keysFromTheFarPastOrFutureDoNoHarm() throws {
        #expect(TicketKeyring(try key(1, created: .min)).isDue(at: .max))
        #expect(!TicketKeyring(try key(1, created: .max)).isDue(at: 0))
    }

    @Test func ownKeysRotateByTheClockAndGivenOnesDoNot() throws {
        final class Clock: Sendable { let now = Mutex<Int64>(0) }
        let clock = Clock()
        let keys = TicketKeys(clock: { clock.now.withLock { $0 } })
        let first = keys.keyring
        #expect(keys.keyring == first)
        clock.now.withLock { $0 = TLSDefaults.ticketRotation }
        #expect(keys.keyring.keys.count == 2)
        #expect(keys.keyring.keys.last == first.keys.first)
        let given = TicketKeyring(try key(9))
        keys.replace(with: given)
        clock.now.withLock { $0 = 10 * TLSDefaults.ticketRotation }
        #expect(keys.keyring == given)
    }
}
