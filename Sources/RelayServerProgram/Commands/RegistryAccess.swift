// SPDX-License-Identifier: Apache-2.0

import Glibc
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// The users' registry of a relay on this machine, as a whole: by its admin socket where the relay runs, else, of one
/// that is alone, in its state directory.
struct RegistryAccess {
    private let client: AdminClient
    /// Whether the users are elsewhere when the relay does not run.
    private let isOfCluster: Bool

    /// The relay that a command is for.
    init(_ state: StateOptions) throws(OperatorError) {
        (client, isOfCluster) = (try state.client(), try state.isOfCluster())
    }

    /// The relay with the state directory `path`.
    init(at path: String) {
        (client, isOfCluster) = (AdminClient(stateDirectory: path), false)
    }

    /// All that there is.
    func copy() async throws(OperatorError) -> RegistryCopy {
        guard try client.isAbsent else {
            return RegistryCopy(users: try await client.users(), invitations: try await client.invitations())
        }
        let registry = try stopped().load(repaired: RegistryFile.warn)
        return RegistryCopy(
            users: registry.users.values.sorted { $0.name.rawValue < $1.name.rawValue }
                .map { AccountRecord($0, registry.accounts[$0.name]) },
            invitations: registry.invitations.values.sorted { $0.digest.rawValue < $1.digest.rawValue }
        )
    }

    /// Puts `copy` in.
    /// - Parameter replacing: whether in the place of what is there; else there must be no user.
    func restore(_ copy: RegistryCopy, replacing: Bool) async throws(OperatorError) {
        guard try client.isAbsent else { return try await send(copy, replacing) }
        let file = try stopped()
        var registry = UserRegistry()
        // What is damaged may be replaced as well.
        if !replacing {
            registry = try file.load(repaired: RegistryFile.warn)
            guard registry.users.isEmpty else { throw AdminResponder.notEmpty(registry.users.count) }
        }
        do {
            try registry.restore(copy, isWhole: true)
            try file.replace(with: registry)
        } catch {
            throw OperatorError(.inputOutput, "the users' registry cannot be written: \(error)")
        }
    }

    private func send(_ copy: RegistryCopy, _ replaces: Bool) async throws(OperatorError) {
        let id = "\(UInt64.random(in: .min ... .max))"
        let size = Defaults.Admin.recordsPerPart
        var (users, invitations) = (copy.users[...], copy.invitations[...])
        while true {
            let part = RestorePart(
                id: id, users: Array(users.prefix(size)), invitations: Array(invitations.prefix(size)),
                isLast: users.count <= size && invitations.count <= size, replaces: replaces
            )
            guard case .restored = try await client.ask(.restore(part: part)) else { throw AdminClient.unexpected }
            if part.isLast { return }
            users = users.dropFirst(size)
            invitations = invitations.dropFirst(size)
        }
    }

    /// The file of a relay that does not run. Locks the directory, so that no server starts meanwhile.
    private func stopped() throws(OperatorError) -> RegistryFile {
        let path = client.stateDirectory
        if isOfCluster {
            throw OperatorError(
                .unavailable, "the users are in Redis, and no relay-server runs with \(path): start this node first")
        }
        guard unsafe access(path, F_OK) == 0 else {
            throw OperatorError(.unavailable, "there is no state directory \(path): set --state-dir")
        }
        return RegistryFile(directory: try StateDirectory(path: path))
    }
}
