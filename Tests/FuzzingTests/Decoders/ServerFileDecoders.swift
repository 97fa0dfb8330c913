// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import TestSupport
import WSProtocol

@testable import PrivateFiles
@testable import RelayNode
@testable import RelayServerProgram
@testable import ServerSystem
@testable import TransferBroker

/// What a relay keeps in files.
enum ServerFileDecoders {
    static let registry = FuzzedDecoder(
        "registry", longest: 6_000, of: .lines,
        sources: [
            "RelayNode/Users/Invitation.swift", "RelayNode/Users/UserAccount.swift",
            "RelayNode/Users/UserRegistry.swift", "RelayNode/Users/PrekeyFiles.swift",
            "RelayNode/Users/RegistryFile.swift",
            "RelayServerProgram/Admin/RegistryBackup.swift",
            "TransferBroker/Limits/LimitSet.swift",
        ]
    ) { input in
        let content = Data(input.dropFirst())
        switch (input.first ?? 0) % 6 {
        case 0: try registry(content)
        case 1: try copy(content)
        case 2: try sealedCopy(content)
        case 3:
            try folder(content, PrekeyFiles.folder + "/bob") { directory in
                guard let name = PeerName(rawValue: "bob"), let key = SigningKey(rawValue: key) else { return }
                let (files, user) = (PrekeyFiles(directory: directory), User(name: name, key: key))
                guard let prekey = files.prekey(of: user) else { return }
                try files.write(prekey, of: user)
                try hold(files.prekey(of: user) == prekey, "\(prekey) changes")
                files.remove(name)
                try hold(files.prekey(of: user) == nil, "a prekey that stays")
            }
        case 4: try folder(content, TrafficFile.name) { _ = TrafficFile(directory: $0).load(day: 20_000) }
        default: try folder(content, RegistryFile.name) { try file($0, input.first ?? 0) }
        }
    }

    private static let key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

    private static func registry(_ content: Data) throws {
        guard let registry = try? UserRegistry(fileContents: content) else { return }
        let again = try UserRegistry(fileContents: registry.fileContents())
        try hold(again == registry, "\(registry) is \(again) when it is read again")
        try change(registry)
    }

    /// What operators and users do with what was read.
    private static func change(_ read: UserRegistry) throws {
        guard let dora = PeerName(rawValue: "dora"), let code = InvitationCode(rawValue: "code"),
            let digest = code.digest, let key = SigningKey(rawValue: key)
        else { return }
        var registry = read
        let now = UnixTime(seconds: 1_000)
        let user = User(name: dora, key: key)
        _ = registry.invite(Invitation(digest: digest, name: nil, expires: now.advanced(by: 60)), now: now)
        for mode in ServerMessage.Registration.allCases {
            var other = mode == .closed ? read : registry
            let outcome = try? other.register(user, invitation: code, mode: mode, now: now)
            let isThere = other.users[dora]?.key == key
            try hold((outcome == .registered) == isThere, "\(String(describing: outcome)) in the mode \(mode)")
            if mode == .invite { registry = other }
        }
        for name in read.users.keys.prefix(3) {
            _ = registry.invite(Invitation(digest: digest, name: name, expires: now), now: now)
            _ = registry.changeAccount(of: name) { $0.disabled = now }
            _ = registry.changeAccount(of: name) { $0 = UserAccount() }
            _ = registry.rename(name, to: dora)
            if let other = PeerName(rawValue: "other") { _ = registry.rename(name, to: other) }
        }
        for (name, account) in read.accounts {
            guard let user = read.users[name] else { throw Broken(description: "an account of nobody: \(name)") }
            let record = AccountRecord(user, account)
            try hold(record.user == User(name: name, key: user.key), "\(record) is of another user")
            let limits = account.limits
            let named = limits.all.reduce(into: LimitSet()) { $0[$1.name] = $1.value }
            try hold(named == limits && limits.over(limits) == limits && limits.over([:]) == limits, "\(limits)")
            try hold(
                limits.times(1) == limits && limits.times(3).all.count == limits.all.count, "\(limits), three times")
            _ = (Holding(limits), limits.all.map { $0.name.isBytes })
        }
        try hold(InvitationCode.random()?.digest != digest, "a code that was guessed")
        var none = UserRegistry(limits: .init(users: 0, invitations: 0))
        try hold((try? none.register(user, invitation: nil, mode: .open, now: now)) == nil, "one user of none")
        let whole = RegistryCopy(
            users: read.users.values.map { AccountRecord($0, read.accounts[$0.name]) },
            invitations: Array(read.invitations.values))
        let fits = read.users.isEmpty && read.invitations.isEmpty
        try hold(((try? none.restore(whole, isWhole: false)) != nil) == fits, "more than there is room for")
        registry.withdraw(digest)
        let again = try UserRegistry(fileContents: registry.fileContents())
        try hold(again.users == registry.users, "\(registry) is \(again) when it is read again")
        let hadDora = registry.users[dora] != nil
        try hold(registry.remove(dora) == hadDora && !registry.remove(dora), "a user that stays")
    }

    /// The registry's file, beside which there may be what it was before.
    private static func file(_ directory: StateDirectory, _ choice: UInt8) throws {
        let file = RegistryFile(directory: directory) { _ in
            if choice & 0x40 != 0 { throw OperatorError(.unavailable, "stopped") }
        }
        let good = try? file.load { _ in }
        let previous = UserRegistry()
        if choice & 0x80 != 0 {
            let path = StateDirectory.path(of: RegistryFile.previousName, in: directory.path)
            try previous.fileContents().write(to: URL(fileURLWithPath: path))
        }
        var repairs = 0
        let read = try file.load { problem in repairs += problem.isEmpty ? 2 : 1 }
        try hold(read == good ?? previous && repairs == (good == nil ? 1 : 0), "\(read) with \(repairs) repairs")
        try file.replace(with: read)
        try hold(try file.load { _ in } == read, "a registry that changes")
        try file.retire()
        try hold(try file.load { _ in } == UserRegistry(), "a registry that stays")
    }

    private static func copy(_ content: Data) throws {
        guard let copy = try? RegistryBackup.read(content, from: "it") else { return }
        var registry = UserRegistry()
        try? registry.restore(copy, isWhole: true)
        try hold(registry.users.count == copy.users.count, "\(copy.users.count) users are \(registry.users.count)")
    }

    /// A copy with the checksums that it has to have, and one with another byte.
    private static func sealedCopy(_ content: Data) throws {
        let lines = content.split(separator: UInt8(ascii: "\n"))
        var copy = RegistryCopy()
        for line in lines {
            if let user = StrictJSON.decode(AccountRecord.self, from: line) { copy.users.append(user) }
            if let invitation = StrictJSON.decode(Invitation.self, from: line) { copy.invitations.append(invitation) }
        }
        let text = Array(try RegistryBackup.text(of: copy, at: LogTime(seconds: 0, milliseconds: 0)).utf8)
        let read = try? RegistryBackup.read(Data(text), from: "it")
        let isTwice = Set(copy.users.map(\.name)).count < copy.users.count
        try hold(isTwice ? read == nil : read == copy, "\(copy) is \(String(describing: read)) when it is read again")
        guard let last = content.last else { return }
        var damaged = text
        damaged[Int(last) * 7 % text.count] ^= 1
        let second = try? RegistryBackup.read(Data(damaged), from: "it")
        try hold(second == nil || second == copy, "a damaged copy is \(String(describing: second))")
    }

    /// A state directory in which one file has this content.
    private static func folder(_ content: Data, _ name: String, _ open: (StateDirectory) throws -> Void) throws {
        let folder = try TemporaryDirectory()
        defer { withExtendedLifetime(folder) {} }
        let path = folder.file("state")
        let directory = try StateDirectory(path: path)
        try FileManager.default.createDirectory(
            atPath: (path + "/" + name).components(separatedBy: "/").dropLast().joined(separator: "/"),
            withIntermediateDirectories: true)
        try content.write(to: URL(fileURLWithPath: path + "/" + name))
        do { try open(directory) } catch is OperatorError {}
    }
}
