// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import Sealing
import TransferClient
import WSProtocol

/// The prekeys of a profile: the file `prekeys`, with the seeds of this month and of the one before. Processes of one
/// profile that need them at once get the same ones. Blocks.
struct PrekeyStore: Sendable {
    /// The profile's folder.
    private let directory: String

    private static let file = "prekeys"

    init(_ directory: String) { self.directory = directory }

    /// The prekeys, moved on to the month of `now` and stored; the first ones are random.
    ///
    /// - Parameter now: in milliseconds since 1970.
    /// - Throws: what is wrong with the file, or with one of the clocks that moved it.
    func current(name: PeerName, now: UInt64) throws(FileError) -> PrekeyRatchet {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            guard let stored = try read(&folder, name) else { return try begin(&folder, name, now) }
            return try advance(stored, to: now, &folder)
        }
    }

    /// As ``current(name:now:)``, for a login: where the clock that moved them was wrong, it begins again with random
    /// ones.
    func renewed(name: PeerName, now: UInt64) throws(FileError) -> PrekeyRatchet {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            guard var stored = try read(&folder, name) else { return try begin(&folder, name, now) }
            let before = stored
            do throws(SealingError) {
                try stored.advance(to: now)
            } catch {
                return try begin(&folder, name, now)
            }
            return try advance(before, to: now, &folder)
        }
    }

    private func begin(
        _ folder: inout PrivateDirectory, _ name: PeerName, _ now: UInt64
    ) throws(FileError) -> PrekeyRatchet {
        let seed = SymmetricKey(size: .bits256)
        guard let ratchet = PrekeyRatchet(name: name, epoch: Epoch(milliseconds: now), seed: seed) else {
            throw damaged
        }
        try write(ratchet, to: folder)
        return ratchet
    }

    private func advance(
        _ stored: PrekeyRatchet, to now: UInt64, _ folder: inout PrivateDirectory
    ) throws(FileError) -> PrekeyRatchet {
        var ratchet = stored
        do throws(SealingError) {
            try ratchet.advance(to: now)
        } catch {
            throw FileError(code: .unusableProfile, message: error.description)
        }
        if ratchet.epoch != stored.epoch { try write(ratchet, to: folder) }
        return ratchet
    }

    // MARK: - The file

    private struct Stored: Codable {
        var v: Int
        var epoch: UInt32
        var seed: String
        var previous: String?
    }

    private func read(_ folder: inout PrivateDirectory, _ name: PeerName) throws(FileError) -> PrekeyRatchet? {
        guard let content = try folder.read(Self.file) else { return nil }
        guard let stored = StrictJSON.decode(Stored.self, from: content), stored.v == 1,
            let seed = Self.key(stored.seed)
        else { throw damaged }
        let previous = stored.previous.map(Self.key)
        guard previous == nil || previous != .some(nil),
            let ratchet = PrekeyRatchet(
                name: name, epoch: Epoch(number: stored.epoch), seed: seed, previousSeed: previous ?? nil
            )
        else { throw damaged }
        return ratchet
    }

    private func write(_ ratchet: PrekeyRatchet, to folder: PrivateDirectory) throws(FileError) {
        let stored = Stored(
            v: 1, epoch: ratchet.epoch.number, seed: Self.text(ratchet.seed),
            previous: ratchet.previousSeed.map(Self.text)
        )
        guard let json = try? StrictJSON.encode(stored) else { throw damaged }
        try folder.write(Data((json + "\n").utf8), to: Self.file, replacing: true)
    }

    private static func key(_ text: String) -> SymmetricKey? {
        Base64URL.decode(text).map { SymmetricKey(data: $0) }
    }

    private static func text(_ key: SymmetricKey) -> String {
        Base64URL.encode(unsafe key.withUnsafeBytes { unsafe Array($0) })
    }

    private var damaged: FileError {
        FileError(
            code: .unusableProfile,
            message: "\"\(DisplayName.escape(directory + "/" + Self.file))\" is damaged, or of another version of this "
                + "program: remove it, and new keys are made; who sends now is told to try again"
        )
    }
}
