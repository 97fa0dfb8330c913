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
            The server need not run; in a cluster, a node has to. The file has the mode 0600, is written whole or not \
            at all, and `relay-server restore` checks each line of it. Example:
              relay-server backup /var/backups/relay-$(date +%F)
            """
    )

    @Argument(help: "The file; an existing one is replaced.", completion: .file())
    var file: String

    @OptionGroup var state: StateOptions

    func run() async throws {
        let copy = try await RegistryAccess(state).copy()
        do {
            try write(try RegistryBackup.text(of: copy, at: LogTime.now))
        } catch {
            throw OperatorError(.cannotCreate, "cannot write \(file): \(error)")
        }
        try Answer.write("wrote \(copy.users.count) users and \(copy.invitations.count) invitations to \(file)")
    }
}

extension BackupCommand {
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
        abstract: "Restore the users' registry from a copy that `backup` made.",
        discussion: """
            The registry must have no users, or --replace be given. The server need not run; in a cluster, a node has \
            to. Nothing is changed when the file is damaged. `relay-server migrate` does the same without a file where \
            both relays are on one machine.
            """
    )

    @Argument(help: "The file.", completion: .file())
    var file: String

    @Flag(help: "Remove the users and invitations that are not in the copy.")
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
        try await RegistryAccess(state).restore(copy, replacing: replace)
        try Answer.write("restored \(copy.users.count) users and \(copy.invitations.count) invitations")
    }
}
