// SPDX-License-Identifier: Apache-2.0

import Foundation
import PrivateFiles
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite("What operators lay down about users")
struct UserAccountTests {
    private let temporary: TemporaryDirectory
    private let alice = PeerName.test("alice")
    private let bob = PeerName.test("bob")

    init() throws { temporary = try TemporaryDirectory() }

    private func user(_ name: PeerName) -> User { User(name: name, key: .random()) }

    private func file() throws -> RegistryFile {
        RegistryFile(directory: try StateDirectory(path: temporary.file("state")))
    }

    private func path(_ name: String) -> String { temporary.file("state") + "/" + name }

    @Test("an account goes with its user: to another name, to the disk and back, and away")
    func accounts() async throws {
        let file = try file()
        let directory = try FileUserDirectory(
            file: file, mode: .invite, repaired: { _ in }, now: { UnixTime(seconds: 1000) })
        let code = try await directory.invite(nil, lifetime: 60, note: "from the course").code
        let user = user(alice)
        #expect(try await directory.register(user, invitation: code) == .registered)
        let limits: LimitSet = [.transfers: 10, .day: 0]
        let changed = try await directory.changeAccount(of: alice) { account in
            account.limits = limits
            account.disabled = UnixTime(seconds: 7)
        }
        #expect(changed?.note == "from the course" && changed?.registered == UnixTime(seconds: 1000))
        #expect(try await directory.changeAccount(of: bob) { $0.note = "x" } == nil)
        #expect(try await directory.rename(bob, to: alice) == .unknown)
        #expect(try await directory.rename(alice, to: alice) == .taken)
        #expect(try await directory.rename(alice, to: bob) == .renamed)
        #expect(try await directory.user(named: alice) == nil)
        #expect(try await directory.user(named: bob)?.key == user.key)
        let again = try file.load { _ in }
        #expect(again.accounts == [bob: try #require(changed)])
        #expect(try await directory.remove(bob))
        #expect(try file.load { _ in } == UserRegistry())
    }

    @Test("a file of the first version is read, and written as the second")
    func firstVersion() async throws {
        let file = try file()
        let user = user(alice)
        let record =
            #"{"name":"alice","key":"\#(user.key.rawValue)","exchangeKey":"\#(SigningKey.random().rawValue)"}"#
        try Data(#"{"version":1,"users":[\#(record)],"invitations":[]}"#.utf8)
            .write(to: URL(fileURLWithPath: path("users.json")))
        let directory = try FileUserDirectory(file: file, mode: .closed, repaired: { _ in })
        #expect(try await directory.account(of: alice).isPlain)
        _ = try await directory.changeAccount(of: alice) { $0.note = "old" }
        #expect(try file.load { _ in }.accounts[alice]?.note == "old")
    }

    /// A registry with two changes, so that there is a previous file.
    private func two() async throws -> RegistryFile {
        let file = try file()
        let directory = try FileUserDirectory(file: file, mode: .open, repaired: { _ in })
        _ = try await directory.register(user(alice), invitation: nil)
        _ = try await directory.register(user(bob), invitation: nil)
        return file
    }

    @Test("of a damaged registry, the line is named, and the copy before the last change is used")
    func damaged() async throws {
        let file = try await two()
        let good = try String(contentsOfFile: path("users.json"), encoding: .utf8)
        let lines = good.split(separator: "\n", omittingEmptySubsequences: false)
        let bob = try #require(lines.firstIndex { $0.contains("\"bob\"") && !$0.contains("registered") })
        var damages: [(text: String, line: Int)] = []
        // Cut off in the middle of the line; and a key that is none, in a record that is JSON.
        damages.append((lines[..<3].joined(separator: "\n") + "\n    {\"exch", 4))
        let key = try #require(lines.lastIndex { $0.contains("\"key\"") })
        var other = lines
        other[key] = "      \"key\" : \"no key\","
        damages.append((other.joined(separator: "\n"), other[..<key].lastIndex { $0 == "    {" }.map { $0 + 1 } ?? 0))
        #expect(bob > 0)
        for damage in damages {
            try Data(damage.text.utf8).write(to: URL(fileURLWithPath: path("users.json")))
            var problems: [String] = []
            let registry = try file.load { problems.append($0) }
            #expect(problems.count == 1 && problems[0].contains("damaged on line \(damage.line):"), "\(problems)")
            #expect(registry.users.keys.map(\.rawValue) == ["alice"])
            #expect(try String(contentsOfFile: path("users.json.damaged"), encoding: .utf8) == damage.text)
            // It is whole from now on.
            #expect(try file.load { _ in Issue.record("damaged again") } == registry)
        }
    }

    @Test("a damaged registry is mended at the next start when this one is killed", arguments: AtomicFile.Step.allCases)
    func killedWhileMending(step: AtomicFile.Step) async throws {
        let file = try await two()
        try Data("{".utf8).write(to: URL(fileURLWithPath: path("users.json")))
        let killed = RegistryFile(directory: file.directory) {
            if $0 == step { throw InVain(description: "killed") }
        }
        #expect(throws: OperatorError.self) { _ = try killed.load { _ in } }
        #expect(try file.load { _ in }.users.keys.map(\.rawValue) == ["alice"])
        #expect(try String(contentsOfFile: path("users.json.damaged"), encoding: .utf8) == "{")
    }

    @Test("with both files damaged nothing is touched, and the reason is told")
    func bothDamaged() async throws {
        let file = try await two()
        for name in ["users.json", "users.json.previous"] {
            try Data("{".utf8).write(to: URL(fileURLWithPath: path(name)))
        }
        let error = #expect(throws: OperatorError.self) { _ = try file.load { _ in } }
        #expect(error?.message.contains("damaged on line 1: put back a copy") == true, "\(String(describing: error))")
        #expect(try String(contentsOfFile: path("users.json"), encoding: .utf8) == "{")
        #expect(!FileManager.default.fileExists(atPath: path("users.json.damaged")))
    }

    @Test("a copy replaces all or nothing")
    func restored() async throws {
        let file = try await two()
        let directory = try FileUserDirectory(file: file, mode: .open, repaired: { _ in })
        let carol = AccountRecord(user(.test("carol")), UserAccount(note: "n"))
        try await directory.restore(RegistryCopy(users: [carol]), isWhole: true)
        #expect(directory.users().map(\.name.rawValue) == ["carol"])
        #expect(try await directory.account(of: carol.name).note == "n")
        var full = UserRegistry(limits: .init(users: 1))
        #expect(throws: UserRegistry.Full.self) {
            try full.restore(RegistryCopy(users: [carol, AccountRecord(user(alice), nil)]), isWhole: true)
        }
        #expect(full.users.isEmpty)
    }
}
