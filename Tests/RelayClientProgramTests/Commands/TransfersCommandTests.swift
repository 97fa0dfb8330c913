// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Sealing
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// `transfers`.
struct TransfersCommandTests {
    private let screen: Screen
    private let records: TransferRecords
    private let sent: SentRecord
    private let received: ReceivedRecord

    private static let noon: UInt64 = 1_780_272_000_000

    /// Parts that are there, until they are removed.
    private final class Parts: UnfinishedParts {
        let removed = Mutex<[CarriedTransfer]>([])
        let error: FileError?

        init(_ error: FileError? = nil) { self.error = error }

        func bytes(of record: ReceivedRecord) throws(FileError) -> UInt64? {
            if let error { throw error }
            return 3_100_000_000
        }

        func remove(_ record: ReceivedRecord) throws(FileError) {
            if let error { throw error }
            removed.withLock { $0.append(record.transfer) }
        }
    }

    init() throws {
        screen = try Screen()
        records = TransferRecords(screen.client.directory)
        sent = SentRecord(
            transfer: try #require(CarriedTransfer(rawValue: "AAAAAAAAAAAAAAAAAAAAAA")),
            receiver: try Screen.person("bob"), paths: ["/home/alice/photos", "/home/alice/a"], exclude: ["*.o"],
            keepsMetadata: true,
            summary: OfferSummary(names: ["a", "photos"], entries: 1_234, bytes: 5_200_000_000, kind: .several),
            manifest: [UInt8](repeating: 7, count: 32), state: [UInt8](repeating: 9, count: 32), since: Self.noon
        )
        received = ReceivedRecord(
            transfer: try #require(CarriedTransfer(rawValue: "AAAABBBBAAAAAAAAAAAAAA")),
            sender: try Screen.person("carol"), folder: "/home/alice/in",
            summary: OfferSummary(names: ["disk\u{1b}.iso"], entries: 1, bytes: 4_000_000_000, kind: .file),
            keepsMetadata: true, since: Self.noon + 60_000
        )
    }

    private func remember() throws {
        let now = WallClock.milliseconds()
        try records.remember(.sending(sent), now: now)
        try records.remember(.receiving(received), now: now)
    }

    @Test func theListShowsBothSides() throws {
        try TransfersCommand.List.parse([]).list(screen.client, Parts())
        #expect(screen.take() == ("", "no transfer is unfinished\n"))
        try remember()
        try TransfersCommand.List.parse([]).list(screen.client, Parts())
        let (first, second) = (WallClock.local(Self.noon), WallClock.local(Self.noon + 60_000))
        #expect(
            screen.take() == (
                #"AAAABBBB  from carol  "disk\u{1b}.iso" (4.00 GB)              3.10 GB here  "#
                    + #"since \#(second)  "/home/alice/in""# + "\n"
                    + #"AAAAAAAA  to bob      "a" and 1 other (1,234 items, 5.20 GB)                "#
                    + #"since \#(first)  "/home/alice/photos" and 1 other"# + "\n", ""
            ))
    }

    @Test func programsGetEachAsAnObject() throws {
        try remember()
        try TransfersCommand.List.parse(["--json"]).list(screen.client, Parts())
        #expect(
            screen.take().output == #"{"schema":1,"bytes":3100000000,"direction":"receive","entries":1,"#
                + #""event":"transfer","#
                + #""folder":"/home/alice/in","kind":"file","names":["disk\u001b.iso"],"peer":"carol","#
                + #""since":"2026-06-01T00:01:00Z","size":4000000000,"transfer":"AAAABBBBAAAAAAAAAAAAAA"}"# + "\n"
                + #"{"schema":1,"direction":"send","entries":1234,"event":"transfer","kind":"several","#
                + #""names":["a","photos"],"#
                + #""paths":["/home/alice/photos","/home/alice/a"],"peer":"bob","since":"2026-06-01T00:00:00Z","#
                + #""size":5200000000,"transfer":"AAAAAAAAAAAAAAAAAAAAAA"}"# + "\n")
    }

    @Test func aFolderThatCannotBeLookedIntoHidesNothing() throws {
        try remember()
        try TransfersCommand.List.parse([]).list(
            screen.client, Parts(FileError(code: .cannotCreate, message: "gone")))
        let text = screen.take().output
        #expect(text.split(separator: "\n").count == 2 && !text.contains(" here"))
    }

    private func forget(_ id: String, _ parts: Parts = Parts()) async -> ClientError? {
        await Screen.error { try TransfersCommand.Forget.parse([id]).forget(screen.client, parts) }
    }

    private var left: [CarriedTransfer] {
        get throws { try records.all(now: WallClock.milliseconds()).map(\.transfer) }
    }

    @Test func anAmbiguousOrUnknownIDIsTold() async throws {
        try remember()
        let ambiguous = await forget("AAAA")
        #expect(ambiguous?.status == .usage && ambiguous?.description.contains("2 transfers") == true)
        for unknown in ["AAAAC", "aaaabbbb", "A", "AAAABBBBAAAAAAAAAAAAAAA", "x\u{1b}yz"] {
            let error = await forget(unknown)
            #expect(error?.status == .usage && error?.description.contains("\u{1b}") == false)
        }
        #expect(try left.count == 2)
    }

    @Test func whatIsForgottenIsRemoved() async throws {
        try remember()
        let parts = Parts()
        #expect(await forget("AAAAB", parts) == nil)
        #expect(parts.removed.withLock(\.self) == [received.transfer])
        #expect(screen.take().errors == "gave up \"disk\\u{1b}.iso\" from carol\n")
        #expect(try left == [sent.transfer])
        #expect(await forget(sent.transfer.rawValue, parts) == nil)
        #expect(screen.take().errors == "gave up \"a\" and 1 other to bob\n")
        #expect(try left.isEmpty && parts.removed.withLock(\.count) == 1)
    }

    @Test func anIDThatBeginsWithADashIsTypedWithoutIt() throws {
        let id = try #require(CarriedTransfer(rawValue: "--abcdefghAAAAAAAAAAAA"))
        #expect(TransferText.shortID(id.rawValue) == "abcdefgh")
        for text in ["abcd", "--abcd", "-abcdefgh", id.rawValue, " abcd\n"] {
            #expect(TransferListing.matches(text, id))
        }
        for text in ["", "-", "----", "abc", "abce", id.rawValue + "A"] { #expect(!TransferListing.matches(text, id)) }
    }

    @Test func whatCannotBeRemovedIsNotForgotten() async throws {
        try remember()
        let error = await forget("AAAABBBB", Parts(FileError(code: .cannotCreate, message: "cannot remove it")))
        #expect(error?.description == "cannot remove it")
        #expect(try left.contains(received.transfer))
    }

    @Test func bothSidesOfATransferToItselfAreForgotten() async throws {
        let other = ReceivedRecord(
            transfer: sent.transfer, sender: sent.receiver, folder: "/in", summary: sent.summary, keepsMetadata: false,
            since: Self.noon
        )
        try remember()
        try records.remember(.receiving(other), now: WallClock.milliseconds())
        #expect(await forget("AAAAA") == nil)
        #expect(try left == [received.transfer])
    }

    @Test func toGoOnIsToRunTheSameCommand() throws {
        let send = SendSettings(goingOnWith: sent)
        #expect(send.receivers == [sent.receiver.name] && send.paths == sent.paths && send.exclude == ["*.o"])
        #expect(send.keepsMetadata && send.waits && send.patience == TransferDefaults.patience)
        let receive = ReceiveRequest(goingOnWith: received)
        #expect(receive.output == "/home/alice/in" && receive.isOnce && receive.only == received.transfer)
        #expect(receive.policy.from == [received.sender.name] && receive.policy.isTrusting && receive.keepsMetadata)
    }
}
