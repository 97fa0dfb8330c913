// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct TransferRecordsTests {
    private let temporary: TemporaryDirectory
    private let records: TransferRecords
    private let bob: Party
    private let carol: Party

    private static let now: UInt64 = 1_780_272_000_000
    private static let day: UInt64 = 86_400_000

    init() throws {
        temporary = try TemporaryDirectory()
        records = TransferRecords(temporary.path)
        bob = try Self.person("bob")
        carol = try Self.person("carol")
    }

    private static func person(_ name: String) throws -> Party {
        let key = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
        return Party(
            name: try #require(PeerName(rawValue: name)), identity: try #require(SigningKey(bytes: key))
        )
    }

    private func sent(
        to receiver: Party? = nil, _ paths: [String] = ["/a", "/b \u{1b}\n\"é"], exclude: [String] = ["*.o"],
        preserve: Bool = true, since: UInt64 = now
    ) -> SentRecord {
        SentRecord(
            transfer: .random(), receiver: receiver ?? bob, paths: paths, exclude: exclude, keepsMetadata: preserve,
            summary: OfferSummary(names: ["a", "b"], entries: 3, bytes: 1_234, kind: .several),
            manifest: [UInt8](repeating: 7, count: 32), state: [UInt8](repeating: 9, count: 32), since: since
        )
    }

    private func received(since: UInt64 = now) -> ReceivedRecord {
        ReceivedRecord(
            transfer: .random(), sender: carol, folder: "/home/bob/Downloads",
            summary: OfferSummary(names: ["x"], kind: .stream), keepsMetadata: false, since: since
        )
    }

    private func all(_ now: UInt64 = now) throws -> [TransferRecord] { try records.all(now: now) }

    private func sending(_ record: SentRecord, to receiver: Party? = nil, now: UInt64 = now) throws -> SentRecord? {
        try records.sending(
            to: receiver ?? record.receiver, paths: record.paths, exclude: record.exclude,
            keepsMetadata: record.keepsMetadata, now: now)
    }

    @Test func whatIsRememberedComesBack() throws {
        #expect(try all().isEmpty)
        let (sent, received) = (sent(since: Self.now), received(since: Self.now + 1))
        try records.remember(.sending(sent), now: Self.now)
        try records.remember(.receiving(received), now: Self.now)
        // The youngest first.
        #expect(try all() == [.receiving(received), .sending(sent)])
        let names = try temporary.names(in: "transfers").filter { !$0.hasPrefix(".") }
        #expect(names.count == 2)
        for name in names { #expect(try TemporaryDirectory.mode(of: temporary.file("transfers/" + name)) == 0o600) }
        #expect(try TemporaryDirectory.mode(of: temporary.file("transfers")) == 0o700)
        try records.forget(sent.transfer, .send)
        try records.forget(sent.transfer, .send)
        #expect(try all() == [.receiving(received)])
        try records.forget(received.transfer, .send)
        #expect(try all() == [.receiving(received)])
        try records.forget(received.transfer, .receive)
        #expect(try all().isEmpty)
    }

    @Test func whatIsSentIsFoundByAllThatItIs() throws {
        let record = sent()
        try records.remember(.sending(record), now: Self.now)
        #expect(try sending(record) == record)
        #expect(try sending(record, to: carol) == nil)
        #expect(try sending(record, to: Party(name: bob.name, identity: carol.identity)) == nil)
        for other in [
            sent(["/b \u{1b}\n\"é", "/a"]), sent(["/a"]), sent(exclude: []), sent(preserve: false),
        ] { #expect(try sending(other) == nil) }
        // Two begun at different times: the later one is gone on with.
        let later = sent(since: Self.now + 5)
        try records.remember(.sending(later), now: Self.now)
        #expect(try sending(record) == later)
    }

    @Test func oneTransferOfAProfileToItselfHasBothSides() throws {
        let sent = sent()
        let received = ReceivedRecord(
            transfer: sent.transfer, sender: bob, folder: "/x", summary: sent.summary, keepsMetadata: false,
            since: Self.now
        )
        try records.remember(.sending(sent), now: Self.now)
        try records.remember(.receiving(received), now: Self.now)
        #expect(try all().count == 2)
        try records.forget(sent.transfer, .receive)
        #expect(try all() == [.sending(sent)])
    }

    @Test func afterAWeekItIsForgotten() throws {
        let (old, worked) = (sent(["/old"]), sent(["/worked"]))
        try records.remember(.sending(old), now: Self.now)
        try records.remember(.sending(worked), now: Self.now)
        try records.remember(.sending(worked), now: Self.now + 3 * Self.day)
        #expect(try all(Self.now + 7 * Self.day).count == 2)
        #expect(try all(Self.now + 7 * Self.day + 1) == [.sending(worked)])
        // Removed, not only hidden.
        #expect(try all(Self.now) == [.sending(worked)])
        #expect(try all(Self.now + 10 * Self.day + 1).isEmpty)
    }

    @Test(arguments: ["", "{", "{}", "null", "\u{0}", "cut", "v", "relative", "state", "name"])
    func damageIsPassedOverAndRemoved(_ damage: String) throws {
        let (broken, whole) = (sent(), sent(["/whole"]))
        try records.remember(.sending(broken), now: Self.now)
        try records.remember(.sending(whole), now: Self.now)
        let path = temporary.file("transfers/send-\(broken.transfer)")
        let content = try String(contentsOfFile: path, encoding: .utf8)
        let other =
            switch damage {
            case "cut": String(content.dropLast(content.count / 2))
            case "v": content.replacing("\"v\":1", with: "\"v\":2")
            case "relative": content.replacing("\"/a\"", with: "\"a\"")
            case "state": content.replacing("\"state\":\"CQkJ", with: "\"state\":\"CQk")
            case "name": content.replacing(broken.transfer.rawValue, with: whole.transfer.rawValue)
            default: damage
            }
        #expect(other != content)
        try Data(other.utf8).write(to: URL(fileURLWithPath: path))
        #expect(try all() == [.sending(whole)])
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func thereIsABound() throws {
        let first = sent(since: Self.now - 1)
        try records.remember(.sending(first), now: Self.now)
        let encoded = try #require(TransferRecord.sending(first).encoded(touched: Self.now))
        for _ in 0..<(Defaults.mostRecords - 1) {
            let id = CarriedTransfer.random()
            let text = String(decoding: encoded, as: UTF8.self)
                .replacing(first.transfer.rawValue, with: id.rawValue)
                .replacing("\"since\":\(Self.now - 1)", with: "\"since\":\(Self.now)")
            try temporary.write(Data(text.utf8), to: "transfers/send-\(id)")
        }
        #expect(try all().count == Defaults.mostRecords)
        let last = received(since: Self.now + 1)
        try records.remember(.receiving(last), now: Self.now)
        let kept = try all()
        #expect(kept.count == Defaults.mostRecords && kept.first == .receiving(last))
        #expect(!kept.contains(.sending(first)))
    }

    @Test func whatIsTooMuchIsNotKept() throws {
        let long = (0..<5).map { "/\($0)" + String(repeating: "x", count: Defaults.maximumRecord / 5) }
        try records.remember(.sending(sent(long)), now: Self.now)
        #expect(try all().isEmpty)
        // What is no record is left alone.
        try records.remember(.sending(sent()), now: Self.now)
        try temporary.write(Data("mine".utf8), to: "transfers/notes.txt")
        #expect(try all().count == 1)
        #expect(FileManager.default.fileExists(atPath: temporary.file("transfers/notes.txt")))
    }
}
