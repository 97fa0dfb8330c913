// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// Who is behind the names that a profile knows: the file `peers`. Read anew each time, since another process of the
/// same profile may have learnt something. Blocks.
struct PeerStore: Sendable {
    /// The profile's folder.
    private let directory: String

    private static let file = "peers"

    init(_ directory: String) { self.directory = directory }

    /// All of them, in the order of their names.
    func list() throws(FileError) -> [KnownPeer] { try read().all }

    /// What is known about `name`; nil when that is nothing.
    func pin(of name: PeerName) throws(FileError) -> Pin? { try read()[name] }

    /// What `party`, as the relay shows it, is to this profile. Changes nothing.
    func contact(with party: Party) throws(FileError) -> Contact { try read().contact(with: party) }

    /// There is contact with `party`: keeps in mind who it is, unless that is another one than the pinned one. Returns
    /// what it was to this profile before.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func met(_ party: Party, now: UInt64) throws(FileError) -> Contact {
        try change { peers in peers.met(party, now: now) }
    }

    /// What became of a fingerprint that came another way.
    enum Addition: Hashable, Sendable {
        /// Nothing was known of the name.
        case added
        /// It is that of the pinned identity, which counts as verified from now on.
        case confirmed
        /// It is not that of the pinned identity. Nothing has changed.
        case contradicts(Fingerprint)
    }

    /// Takes a fingerprint that came another way.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func add(_ name: PeerName, _ fingerprint: Fingerprint, now: UInt64) throws(FileError) -> Addition {
        try change { peers in
            guard let pin = peers[name] else {
                peers[name] = Pin(identity: .fingerprint(fingerprint), isVerified: true, since: now)
                return .added
            }
            guard pin.fingerprint == fingerprint else { return .contradicts(pin.fingerprint) }
            peers[name]?.isVerified = true
            return .confirmed
        }
    }

    /// Forgets who is behind `name`. Returns whether anything was known.
    @discardableResult
    func forget(_ name: PeerName) throws(FileError) -> Bool {
        try change { peers in
            defer { peers[name] = nil }
            return peers[name] != nil
        }
    }

    // MARK: - The file

    private func read() throws(FileError) -> KnownPeers {
        guard var folder = try PrivateDirectory(path: directory, creating: false) else { return KnownPeers() }
        return try read(&folder)
    }

    private func read(_ folder: inout PrivateDirectory) throws(FileError) -> KnownPeers {
        guard let content = try folder.read(Self.file, limit: Defaults.maximumPeersFile) else { return KnownPeers() }
        guard !content.isEmpty else {
            // Who is behind each name would be taken from the relay once more, unnoticed.
            throw FileError(
                code: .unusableProfile,
                message:
                    "\"\(DisplayName.escape(directory + "/" + Self.file))\" is empty, as a power cut may leave it: put it "
                    + "back from a backup, or remove it, after which every peer is met as if for the first time, and has "
                    + "to be verified again"
            )
        }
        do throws(KnownPeers.Damage) {
            return try KnownPeers(content)
        } catch {
            throw FileError(
                code: .unusableProfile,
                message:
                    "line \(error.line) of \"\(DisplayName.escape(directory + "/" + Self.file))\" is damaged: put the "
                    + "file back from a backup, or remove that line, after which its peer is met as if for the first time"
            )
        }
    }

    private func change<Value>(_ body: (inout KnownPeers) -> Value) throws(FileError) -> Value {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            let before = try read(&folder)
            var peers = before
            let value = body(&peers)
            guard peers != before else { return value }
            guard peers.count <= max(Defaults.mostPeers, before.count) else {
                throw FileError(
                    code: .unusableProfile,
                    message: "the profile knows \(Defaults.mostPeers) peers, which is the most: "
                        + "relay-client peers forget NAME makes room"
                )
            }
            // Where there is no file, no peer is known.
            if peers.count == 0 {
                try folder.remove(Self.file)
            } else {
                try folder.write(peers.encoded, to: Self.file, replacing: true)
            }
            return value
        }
    }
}
