// SPDX-License-Identifier: Apache-2.0

import Foundation
import PrivateFiles
import RelayTestFixtures
import ServerSystem
import Synchronization
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite("The users' registry on disk")
struct FileUserDirectoryTests {
    private let temporary: TemporaryDirectory
    private let path: String
    private let alice = PeerName.test("alice")
    private let bob = PeerName.test("bob")
    private let key = SigningKey.random()

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("state")
    }

    private var file: String { path + "/users.json" }

    private func open(mode: ServerMessage.Registration = .invite) throws -> FileUserDirectory {
        try FileUserDirectory(
            file: RegistryFile(directory: try StateDirectory(path: path)), mode: mode, repaired: { _ in })
    }

    private static func isLocked(_ error: any Error) -> Bool { (error as? OperatorError)?.status == .unavailable }

    /// Opens it as soon as the one before has let go of it, which its last thread does a moment after it has answered;
    /// a program that another test starts has the lock, too, until it is executed.
    private func reopen(mode: ServerMessage.Registration = .invite) async throws -> FileUserDirectory {
        try await eventually("the lock", despite: Self.isLocked, attempt: { try open(mode: mode) })
    }

    private func write(_ text: String) throws {
        try PrivateFolder.make(path)
        try Data(text.utf8).write(to: URL(fileURLWithPath: file))
    }

    @Test("a prekey is there after a restart, and does not go with the name to another key")
    func prekeys() async throws {
        var user = User(name: alice, key: key)
        do {
            let directory = try open(mode: .open)
            #expect(try await directory.register(user, invitation: nil) == .registered)
            user.prekey = .test(24_322)
            #expect(try await directory.update(user))
        }
        let again = try await reopen(mode: .open)
        #expect(try await again.user(named: alice) == user)
        var behind = user
        behind.prekey = .test(24_321)
        #expect(try await again.register(behind, invitation: nil) == .registered)
        #expect(try await again.user(named: alice) == user, "of a copy whose clock is behind")
        let old = try Data(contentsOf: URL(fileURLWithPath: path + "/prekeys/alice"))
        #expect(try await again.remove(alice))
        #expect(try temporary.names(in: "state/prekeys") == [])
        try old.write(to: URL(fileURLWithPath: path + "/prekeys/alice"))
        let other = User(name: alice, key: .random())
        #expect(try await again.update(other) == false)
        let outcome = try await again.register(other, invitation: nil)
        #expect(outcome == .registered)
        #expect(try await again.user(named: alice) == other, "what the name's former owner has published is not taken")
        for damage in ["", "{}", String(repeating: "x", count: 10_000)] {
            try Data(damage.utf8).write(to: URL(fileURLWithPath: path + "/prekeys/alice"))
            #expect(try await again.user(named: alice) == other)
        }
        var published = other
        published.prekey = .test(1)
        #expect(try await again.update(published))
        #expect(try await again.user(named: alice) == published)
        #expect(!(try String(contentsOfFile: file, encoding: .utf8)).contains("prekey"))
    }

    @Test("what was registered is there after a restart, and the invitation is used up there too")
    func survivesRestart() async throws {
        var directory: FileUserDirectory? = try open()
        let code = try #require(try await directory?.invite(nil, lifetime: 3_600).code)
        #expect(
            try await directory?.register(User(name: alice, key: key), invitation: code)
                == .registered
        )
        directory = nil
        let again = try await reopen()
        #expect(try await again.user(named: alice) == User(name: alice, key: key))
        let other = SigningKey.random()
        #expect(
            try await again.register(User(name: bob, key: other), invitation: code)
                == .badInvitation)
        let fresh = PublishedPrekey.test(1)
        #expect(try await again.update(User(name: alice, key: key, prekey: fresh)))
        #expect(try await !again.update(User(name: alice, key: other)))
        #expect(try await again.user(named: alice)?.prekey == fresh)
        #expect(try await again.remove(alice))
        #expect(try await again.user(named: alice) == nil)
    }

    @Test("of many racers for one invitation exactly one wins")
    func racers() async throws {
        let directory = try open()
        let code = try await directory.invite(nil, lifetime: 3_600).code
        let won = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<50 {
                group.addTask {
                    try await directory.register(
                        User(name: .test("racer\(number)"), key: .random()), invitation: code)
                        == .registered
                }
            }
            return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(won == 1)
        #expect(directory.users().count == 1)
    }

    @Test("only the owner can read, and no code stands in the file")
    func modesAndSecrets() async throws {
        let directory = try open()
        let code = try await directory.invite(alice, lifetime: 3_600).code
        #expect(try TemporaryDirectory.mode(of: path) == 0o700)
        #expect(try TemporaryDirectory.mode(of: file) == 0o600)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        #expect(text.contains("alice"))
        #expect(!text.contains(code.rawValue))
    }

    @Test("a kill between any two steps leaves the old registry or the new one", arguments: AtomicFile.Step.allCases)
    func killedWhileWriting(step: AtomicFile.Step) async throws {
        struct Killed: Error {}
        let box = ArmedSwitch()
        let code: InvitationCode
        do {
            let registryFile = RegistryFile(directory: try StateDirectory(path: path)) { reached in
                if reached == step, box.isOn { throw Killed() }
            }
            let directory = try FileUserDirectory(file: registryFile, mode: .invite, repaired: { _ in })
            code = try await directory.invite(nil, lifetime: 3_600).code
            box.turnOn()
            await #expect(throws: Killed.self) {
                try await directory.register(User(name: alice, key: key), invitation: code)
            }
        }
        let again = try await reopen()
        let isThere = try await again.user(named: alice) != nil
        #expect(isThere == (step == .renamed || step == .directorySynced))
        #expect(again.counts().invitations == (isThere ? 0 : 1))
        // And it can be written again, whatever was left over.
        #expect(
            try await again.register(User(name: alice, key: key), invitation: code) == .registered)
        _ = try await again.invite(nil, lifetime: 3_600)
        #expect(try temporary.names(in: "state") == ["lock", "users.json", "users.json.previous"])
    }

    @Test(
        "a damaged registry is refused in words and left alone",
        arguments: [
            "", "{", "[]", "{}", #"{"version":1}"#, #"{"version":1,"users":[{"name":"A"}],"invitations":[]}"#,
            "\u{0}\u{0}\u{0}",
        ]
    )
    func damaged(text: String) async throws {
        try write(text)
        let error = await #expect(throws: OperatorError.self) { _ = try await reopen() }
        #expect(error?.status == .configuration)
        #expect(error?.message.contains("is damaged") == true)
        #expect(try String(contentsOfFile: file, encoding: .utf8) == text)
    }

    @Test("a name that stands there twice, and a later version, are refused")
    func refusedContents() async throws {
        // The earlier form has one key more, which nothing uses.
        let user = #"{"name":"a","key":"\#(key.rawValue)","exchangeKey":"\#(SigningKey.random().rawValue)"}"#
        try write(#"{"version":1,"users":[\#(user),\#(user)],"invitations":[]}"#)
        await #expect(throws: OperatorError.self) { _ = try await reopen() }
        try write(#"{"version":1,"users":[\#(user)],"invitations":[]}"#)
        #expect(try await reopen().users().count == 1)
        try write(#"{"version":3,"people":[]}"#)
        let error = await #expect(throws: OperatorError.self) { _ = try await reopen() }
        #expect(error?.message.contains("version 3") == true)
    }

    @Test("a link instead of the file is not followed")
    func link() async throws {
        try PrivateFolder.make(path)
        try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: "/dev/zero")
        await #expect(throws: OperatorError.self) { _ = try await reopen() }
    }

    @Test("open and closed registration")
    func modes() async throws {
        do {
            let closed = try open(mode: .closed)
            #expect(
                try await closed.register(User(name: alice, key: key), invitation: nil) == .closed)
        }
        let opened = try await reopen(mode: .open)
        #expect(
            try await opened.register(User(name: alice, key: key), invitation: nil) == .registered)
    }

    @Test("an operator is told that a name is taken")
    func inviteTaken() async throws {
        let directory = try open(mode: .open)
        _ = try await directory.register(User(name: alice, key: key), invitation: nil)
        let error = await #expect(throws: OperatorError.self) { try await directory.invite(alice, lifetime: 3_600) }
        #expect(error?.status == .refused)
    }
}

/// A switch that a test turns on between two calls.
final class ArmedSwitch: Sendable {
    private let state = Mutex(false)

    var isOn: Bool { state.withLock { $0 } }

    func turnOn() { state.withLock { $0 = true } }
}
