// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import FoundationEssentials
import Glibc
import PrivateFiles
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// `relay-server backup`
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Write a copy of the users' registry to a file: users, limits, notes, invitations.",
        discussion: """
            The server may run or not; of a cluster, a node has to run. The file, mode 0600, is whole or is not \
            there, and `relay-server restore` checks each line of it. Example:
              relay-server backup /var/backups/relay-$(date +%F)
            """
    )

    @Argument(help: "The file; one that is there is replaced.", completion: .file())
    var file: String

    @OptionGroup var state: StateOptions

    func run() async throws {
        let copy = try await copy()
        do {
            try write(try RegistryBackup.text(of: copy, at: LogTime.now))
        } catch {
            throw OperatorError(.cannotCreate, "cannot write \(file): \(error)")
        }
        try Answer.write("wrote \(copy.users.count) users and \(copy.invitations.count) invitations to \(file)")
    }
}

extension BackupCommand {
    /// What the server has, or what is there without one.
    private func copy() async throws(OperatorError) -> RegistryCopy {
        let client = try state.client()
        if try client.isAbsent { return try StoppedRegistry(state, client.stateDirectory).copy() }
        return RegistryCopy(users: try await client.users(), invitations: try await client.invitations())
    }

    /// Writes the file as a whole.
    private func write(_ text: String) throws {
        let parts = file.split(separator: "/", omittingEmptySubsequences: false)
        guard let name = parts.last, !name.isEmpty else { throw SystemError(code: EISDIR) }
        let parent = parts.dropLast().joined(separator: "/")
        let path = parts.count == 1 ? "." : parent.isEmpty ? "/" : parent
        let folder = try SystemError.check { unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        defer { close(folder) }
        let temporary = ".\(name).\(getpid())"
        do {
            try AtomicFile.write(Data(text.utf8), to: String(name), in: folder, by: temporary)
        } catch {
            unsafe unlinkat(folder, temporary, 0)
            throw error
        }
    }
}

/// `relay-server restore`
struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Put a copy that `backup` made into the users' registry.",
        discussion: """
            Into a registry without users, or with --replace in the place of what there is. The server may run or \
            not; of a cluster, a node has to run. With a copy of a single relay, this moves its users to the cluster:
              relay-server backup users.backup            on the relay that was alone
              relay-server restore users.backup           on a node of the cluster
            Nothing is changed when the file is damaged.
            """
    )

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Flag(help: "Remove the users and invitations that are there and not in the copy.")
    var replace = false

    @OptionGroup var state: StateOptions

    func run() async throws {
        let contents: Data
        do {
            contents = try BoundedFile.read(file, limit: Defaults.Admin.maximumBackup)
        } catch {
            throw OperatorError(.noInput, "cannot read \(file): \(error)")
        }
        let copy = try RegistryBackup.read(contents, from: file)
        let client = try state.client()
        if try client.isAbsent {
            try StoppedRegistry(state, client.stateDirectory).restore(copy, replacing: replace)
        } else {
            try await send(copy, to: client)
        }
        try Answer.write("restored \(copy.users.count) users and \(copy.invitations.count) invitations")
    }

    private func send(_ copy: RegistryCopy, to client: AdminClient) async throws(OperatorError) {
        let id = "\(UInt64.random(in: .min ... .max))"
        let size = Defaults.Admin.recordsPerPart
        var (users, invitations) = (copy.users[...], copy.invitations[...])
        while true {
            let part = RestorePart(
                id: id, users: Array(users.prefix(size)), invitations: Array(invitations.prefix(size)),
                isLast: users.count <= size && invitations.count <= size, replaces: replace
            )
            guard case .restored = try await client.ask(.restore(part: part)) else { throw AdminClient.unexpected }
            if part.isLast { return }
            users = users.dropFirst(size)
            invitations = invitations.dropFirst(size)
        }
    }
}

/// The registry in the state directory of a relay that is alone and does not run.
private struct StoppedRegistry {
    private let file: RegistryFile

    /// Locks the directory, so that no server starts meanwhile.
    /// - Throws: ``OperatorError``.
    init(_ state: StateOptions, _ path: String) throws(OperatorError) {
        if try state.isOfCluster() {
            throw OperatorError(
                .unavailable, "the users are in Redis, and no relay-server runs with \(path): start this node first")
        }
        guard unsafe access(path, F_OK) == 0 else {
            throw OperatorError(.unavailable, "there is no state directory \(path): set --state-dir")
        }
        file = RegistryFile(directory: try StateDirectory(path: path))
    }

    func copy() throws(OperatorError) -> RegistryCopy {
        let registry = try file.load()
        return RegistryCopy(
            users: registry.users.values.sorted { $0.name.rawValue < $1.name.rawValue }
                .map { AccountRecord($0, registry.accounts[$0.name]) },
            invitations: registry.invitations.values.sorted { $0.digest.rawValue < $1.digest.rawValue }
        )
    }

    func restore(_ copy: RegistryCopy, replacing: Bool) throws(OperatorError) {
        var registry = UserRegistry()
        // What is damaged may be replaced as well.
        if !replacing {
            registry = try file.load()
            guard registry.users.isEmpty else { throw AdminResponder.notEmpty(registry.users.count) }
        }
        do {
            try registry.restore(copy, isWhole: true)
            try file.replace(with: registry)
        } catch {
            throw OperatorError(.inputOutput, "the users' registry cannot be written: \(error)")
        }
    }
}
