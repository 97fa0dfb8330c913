// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct PrekeyStoreTests {
    private let temporary: TemporaryDirectory
    private let path: String
    private let store: PrekeyStore
    private let alice: PeerName

    /// The first of a month, in milliseconds since 1970, and a time that leads from there into the next.
    private static let june: UInt64 = 1_780_272_000_000
    private static let month: UInt64 = 31 * 86_400_000

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("profile")
        store = PrekeyStore(path)
        alice = try #require(PeerName(rawValue: "alice"))
    }

    private func current(_ months: UInt64 = 0) throws -> PrekeyRatchet {
        try store.current(name: alice, now: Self.june + months * Self.month)
    }

    private func seed(_ ratchet: PrekeyRatchet) -> Data { ratchet.seed.withUnsafeBytes { Data($0) } }

    @Test func theFirstIsRandomAndKept() throws {
        let first = try current()
        #expect(first.epoch.description == "2026-06" && first.previousSeed == nil)
        #expect(try seed(current()) == seed(first))
        #expect(try TemporaryDirectory.mode(of: path + "/prekeys") == 0o600)
        let other = try PrekeyStore(temporary.file("other")).current(name: alice, now: Self.june)
        #expect(seed(other) != seed(first))
    }

    @Test func theClockMovesItForwardAndForgetsWhatIsOlder() throws {
        let june = try current()
        var expected = june
        try expected.advance(to: Self.june + Self.month)
        let july = try current(1)
        #expect(july.epoch.description == "2026-07" && seed(july) == seed(expected))
        #expect(july.previousSeed == june.seed)
        // Stored, not only moved: the seed of June is the one before, and is gone a month later.
        #expect(try seed(current(1)) == seed(july))
        #expect(try current(2).previousSeed == july.seed)
        let content = try Data(contentsOf: URL(fileURLWithPath: path + "/prekeys"))
        #expect(!String(decoding: content, as: UTF8.self).contains(Base64URL.encode(seed(june))))
    }

    @Test func aClockThatIsAMonthBehindChangesNothing() throws {
        let july = try current(1)
        #expect(try seed(current(0)) == seed(july))
    }

    @Test func aWrongClockIsSaidAndChangesNothing() throws {
        let later = try current(12)
        let behind = caught(FileError.self) { _ = try current(0) }
        #expect(behind?.code == .unusableProfile && behind?.status == .configuration)
        #expect(behind?.message.contains("2026-06") == true && behind?.message.contains("2027-06") == true)
        #expect(behind?.message.contains("clock") == true && behind?.message.contains("log in again") == true)
        let ahead = caught(FileError.self) { _ = try current(12 + 26) }
        #expect(ahead?.message.contains("2029-08") == true && ahead?.message.contains("set the clock") == true)
        #expect(try seed(current(12)) == seed(later))
    }

    @Test func aLoginBeginsAgainWhereTheClockWasWrong() throws {
        let wrong = try current(12)
        let renewed = try store.renewed(name: alice, now: Self.june)
        #expect(renewed.epoch.description == "2026-06" && seed(renewed) != seed(wrong))
        #expect(renewed.previousSeed == nil)
        #expect(try seed(current()) == seed(renewed))
        let drawer = try store.renewed(name: alice, now: Self.june + 30 * Self.month)
        #expect(try seed(current(30)) == seed(drawer))
    }

    @Test func aLoginKeepsWhatIsRight() throws {
        let first = try store.renewed(name: alice, now: Self.june)
        #expect(try seed(store.renewed(name: alice, now: Self.june)) == seed(first))
        let next = try store.renewed(name: alice, now: Self.june + Self.month)
        #expect(next.previousSeed == first.seed)
        #expect(try seed(current(1)) == seed(next))
    }

    @Test func manyAtOnceAgree() async throws {
        let (store, alice) = (store, alice)
        for months in [0, 1] as [UInt64] {
            let seeds = try await AtOnce.run(20) { _ in
                let ratchet = try store.current(name: alice, now: Self.june + months * Self.month)
                return ratchet.seed.withUnsafeBytes { Data($0) }
            }
            #expect(try Set(seeds) == [seed(current(months))])
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).sorted() == [".lock", "prekeys"])
    }

    @Test(arguments: [
        "", "{}", "null", #"{"v":2,"epoch":24317,"seed":"K"}"#, #"{"v":1,"epoch":24317,"seed":"AAAA"}"#,
        #"{"v":1,"epoch":-1,"seed":"K"}"#, #"{"v":1,"epoch":24317,"seed":"K","previous":"AAAA"}"#,
        #"{"v":1,"epoch":24317,"seed":"K","previous":"!"}"#, #"{"v":1,"epoch":24317,"seed":"K","seed":"K"}"#,
    ])
    func aDamagedFileIsSaidToBeAndLeftAlone(_ content: String) throws {
        _ = try current()
        let text = content.replacing("K", with: Base64URL.encode([UInt8](repeating: 1, count: 32)))
        try temporary.write(Data(text.utf8), to: "profile/prekeys")
        for damaged in [
            caught(FileError.self) { _ = try current() },
            caught(FileError.self) { _ = try store.renewed(name: alice, now: Self.june) },
        ] {
            #expect(damaged?.code == .unusableProfile && damaged?.message.contains("prekeys\" is damaged") == true)
        }
        #expect(try String(contentsOfFile: path + "/prekeys", encoding: .utf8) == text)
    }

    @Test func whatCannotBeWrittenIsAnError() throws {
        _ = try current()
        #expect(unlink(path + "/prekeys") == 0 && mkdir(path + "/prekeys", 0o700) == 0)
        #expect(caught(FileError.self) { _ = try current() }?.code == .unusableProfile)
        #expect(
            caught(FileError.self) { _ = try PrekeyStore("/proc/self/below").current(name: alice, now: Self.june) }
                != nil)
    }
}
