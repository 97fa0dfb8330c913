// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

struct PolicyStoreTests {
    private let temporary: TemporaryDirectory
    private let path: String
    private let store: PolicyStore
    private let bob: PeerName
    private let transfer = CarriedTransfer.random()
    private static let day: UInt64 = 86_400_000
    private static let now: UInt64 = 20_000 * day

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("profile")
        store = PolicyStore(path)
        bob = try #require(PeerName(rawValue: "bob"))
    }

    private var full: SenderPolicy {
        get throws {
            SenderPolicy(
                .accept, folder: "/in/Bob's \"folder\"", maximumSize: 5, maximumDay: .max,
                command: try FileCommand(#"scan "$RELAY_FILE""#))
        }
    }

    @Test func aPolicyIsKeptUntilItIsChanged() throws {
        #expect(try store.policy(for: bob) == nil && store.list().count == 0)
        let policy = try full
        #expect(try store.change(bob) { $0 = policy } == policy)
        #expect(try PolicyStore(path).policy(for: bob) == policy)
        #expect(try TemporaryDirectory.mode(of: path + "/policies") == 0o600)
        let shell = SenderPolicy(.ask, command: try FileCommand(shell: "a | b"))
        try store.change(bob) { $0 = shell }
        #expect(try store.policy(for: bob) == shell)
        try store.change(bob) { $0 = nil }
        #expect(try store.policy(for: bob) == nil)
        #expect(!FileManager.default.fileExists(atPath: path + "/policies"))
    }

    /// A power cut may leave nothing of it: that no sender is refused any more must not go unnoticed.
    @Test func anEmptyFileIsRefusedAndKept() throws {
        let policy = try full
        try store.change(bob) { $0 = policy }
        try Data().write(to: URL(fileURLWithPath: path + "/policies"))
        let refusals = [
            caught(FileError.self) { _ = try store.policy(for: bob) },
            caught(FileError.self) { try store.change(bob) { $0 = policy } },
        ]
        for refused in refusals {
            #expect(refused?.code == .unusableProfile && refused?.status.rawValue == 78)
            #expect(refused?.message.contains("/policies\" is empty, as a power cut may leave it") == true)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path + "/policies")).isEmpty)
        try FileManager.default.removeItem(atPath: path + "/policies")
        #expect(try store.policy(for: bob) == nil)
    }

    @Test func whatIsDamagedIsRefusedAndKept() throws {
        let policy = try full
        try store.change(bob) { $0 = policy }
        let good = try String(contentsOfFile: path + "/policies", encoding: .utf8)
        let ask = #"{"answer":"ask","name":"bob","v":1}"# + "\n"
        for (text, line) in [
            (good + good, 2), (String(good.dropLast()), 1), ("\n", 1), (ask + "x\n", 2),
            (ask.replacing("ask", with: "allow"), 1), (ask.replacing("\"v\":1", with: "\"v\":2"), 1),
            // A limit that this version does not know of must not be passed over.
            (#"{"answer":"accept","max_hour":5,"name":"bob","v":1}"# + "\n", 1),
            (#"{"answer":"ask","exec":"a | b","name":"bob","v":1}"# + "\n", 1),
            (#"{"answer":"ask","exec":"a","exec_shell":"a","name":"bob","v":1}"# + "\n", 1),
            (#"{"answer":"ask","folder":"in","name":"bob","v":1}"# + "\n", 1),
            (#"{"answer":"ask","max_size":-1,"name":"bob","v":1}"# + "\n", 1),
        ] {
            try text.write(toFile: path + "/policies", atomically: false, encoding: .utf8)
            let refused = caught(FileError.self) { _ = try store.policy(for: bob) }
            #expect(refused?.code == .unusableProfile, "\(text)")
            #expect(refused?.message.hasPrefix("line \(line) of \"") == true, "\(text) \(refused?.message ?? "")")
            #expect(caught(FileError.self) { try store.change(bob) { $0 = nil } }?.code == .unusableProfile)
            #expect(try String(contentsOfFile: path + "/policies", encoding: .utf8) == text)
        }
        try good.write(toFile: path + "/policies", atomically: false, encoding: .utf8)
        #expect(try store.policy(for: bob) == policy)
    }

    @Test func noDamageIsTakenForAnotherPolicy() throws {
        var policies = SenderPolicies()
        policies[bob] = try full
        let bytes = [UInt8](policies.encoded)
        #expect(try SenderPolicies(Data(bytes)) == policies && SenderPolicies(Data()) == SenderPolicies())
        for input in HostileInputs(damaging: [bytes], seed: 31) {
            guard let read = try? SenderPolicies(Data(input.bytes)) else { continue }
            let lines = input.bytes.split(separator: UInt8(ascii: "\n")).map(Array.init)
            let again = [UInt8](read.encoded).split(separator: UInt8(ascii: "\n")).map(Array.init)
            #expect(Set(lines) == Set(again) && lines.count == again.count, "\(input)")
        }
    }

    // MARK: - The day

    private func reserve(
        _ transfer: CarriedTransfer, _ needed: UInt64?, now: UInt64 = now
    ) throws(FileError) -> UInt64? {
        try store.reserve(transfer, from: bob, needed: needed, limit: 100, most: nil, now: now)
    }

    @Test func whatCameTodayIsCountedDurably() throws {
        #expect(try store.bytesToday(from: bob, now: Self.now) == 0)
        #expect(try reserve(transfer, 60) == 60)
        #expect(try PolicyStore(path).bytesToday(from: bob, now: Self.now) == 60)
        #expect(try TemporaryDirectory.mode(of: path + "/taken") == 0o600)
        #expect(try reserve(.random(), 41) == nil)
        // It goes on, perhaps in another process.
        #expect(try reserve(transfer, 30) == 30)
        #expect(try store.bytesToday(from: bob, now: Self.now) == 60)
        try store.settle(transfer, from: bob, bytes: 55, now: Self.now)
        #expect(try store.bytesToday(from: bob, now: Self.now) == 55)
        #expect(try reserve(.random(), 45) == 45)
        #expect(try store.bytesToday(from: bob, now: Self.now + Self.day) == 0)
        #expect(try reserve(.random(), 100, now: Self.now + Self.day) == 100)
        #expect(try reserve(.random(), 1, now: Self.now + Self.day) == nil)
    }

    @Test func aCountThatIsDamagedRefusesAllThatHasALimit() throws {
        _ = try reserve(transfer, 60)
        let good = try String(contentsOfFile: path + "/taken", encoding: .utf8)
        for text in [good + good, String(good.dropLast()), "{}\n", good.replacing("\"v\":1", with: "\"v\":9")] {
            try text.write(toFile: path + "/taken", atomically: false, encoding: .utf8)
            #expect(
                caught(FileError.self) { _ = try store.bytesToday(from: bob, now: Self.now) }?.code == .unusableProfile)
            #expect(
                caught(FileError.self) { _ = try reserve(.random(), 1) }?.message.contains("remove the file") == true)
        }
    }
}
