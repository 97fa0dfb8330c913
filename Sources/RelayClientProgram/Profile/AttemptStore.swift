// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Sealing
import TransferClient
import WSProtocol

/// The attempts that the receivers of a profile have taken in the last two days: the file `attempts`, to which each one
/// adds, so that a relay cannot ring with an old offer after a restart either. Blocks.
///
/// An attempt counts once the relay has answered its acceptance, not when it is rung: the relay rings each receiver of
/// a name, and rings again on a new connection, also where the acceptance was lost with the old one. A line that is
/// torn, by a power cut or a full disk, is passed over: it costs no more than what it says.
struct AttemptStore: Sendable {
    /// The profile's folder.
    private let directory: String

    private static let file = "attempts"

    init(_ directory: String) { self.directory = directory }

    /// Whether it was taken before.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func hasTaken(_ attempt: AttemptID, now: UInt64) throws(FileError) -> Bool {
        guard var folder = try PrivateDirectory(path: directory, creating: false) else { return false }
        return try read(&folder, now).recent[attempt] != nil
    }

    /// Takes an offer that was accepted, and of which nothing has come yet. Returns false when it was taken before.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func take(_ offer: ReceivedOffer, now: UInt64) throws(FileError) -> Bool {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            let list = try read(&folder, now)
            var memory = AttemptMemory(seen: list.recent)
            do throws(SealingError) { try memory.take(offer, time: now) } catch { return false }
            let isLong = list.old >= Defaults.mostOldAttempts || memory.seen.count > Defaults.mostAttempts
            guard isLong || !list.endsWithLine else {
                let line = Self.line(offer.parties.attempt, now)
                try folder.append(Data(line.utf8), to: Self.file)
                return true
            }
            // The youngest stay.
            let kept = memory.seen.sorted { $0.value < $1.value }.suffix(Defaults.mostAttempts)
            let text = kept.map { Self.line($0.key, $0.value) }.joined()
            try folder.write(Data(text.utf8), to: Self.file, replacing: true)
            return true
        }
    }

    // MARK: - The file

    private struct List {
        var recent: [AttemptID: UInt64] = [:]
        /// Lines that are out of date, or torn.
        var old = 0
        var endsWithLine = true
    }

    private static func line(_ attempt: AttemptID, _ time: UInt64) -> String { "\(attempt) \(time)\n" }

    private func read(_ folder: inout PrivateDirectory, _ now: UInt64) throws(FileError) -> List {
        guard let content = try folder.read(Self.file, limit: Defaults.maximumAttemptsFile) else { return List() }
        var list = List()
        list.endsWithLine = content.last.map { $0 == UInt8(ascii: "\n") } ?? true
        for line in content.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard fields.count == 2, let attempt = AttemptID(rawValue: String(decoding: fields[0], as: UTF8.self)),
                let time = UInt64(String(decoding: fields[1], as: UTF8.self)),
                time > now || now - time <= SealingDefaults.attemptMemory
            else {
                list.old += 1
                continue
            }
            list.recent[attempt] = time
        }
        return list
    }
}
