// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// The transfers that were begun and are not complete: the folder `transfers` of a profile, a small file for each. A
/// file that is damaged, by a power cut for example, is passed over and removed: what it costs is that this transfer
/// begins again. Blocks.
struct TransferRecords: Sendable {
    /// Which way a transfer goes. A profile may send to itself: both ways have a record then.
    enum Direction: String, CaseIterable, Sendable {
        case send, receive
    }

    /// The folder itself.
    private let folder: String

    /// - Parameter directory: the profile's folder.
    init(_ directory: String) { folder = directory + "/transfers" }

    /// All of them, the youngest first; those that were last worked on more than a week ago are
    /// removed.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func all(now: UInt64) throws(FileError) -> [TransferRecord] {
        guard var folder = try PrivateDirectory(path: folder, creating: false) else { return [] }
        return try read(&folder, now: now).map(\.record)
    }

    /// What is being sent to `receiver` already, of the same paths with the same options; the youngest, if there are
    /// several.
    ///
    /// - Parameters:
    ///   - paths: absolute, in the order of the command line.
    ///   - now: in milliseconds since 1970.
    func sending(
        to receiver: Party, paths: [String], exclude: [String], keepsMetadata: Bool, now: UInt64
    ) throws(FileError) -> SentRecord? {
        for case .sending(let record) in try all(now: now)
        where record.receiver == receiver && record.paths == paths && record.exclude == exclude
            && record.keepsMetadata == keepsMetadata
        {
            return record
        }
        return nil
    }

    /// What was fetched of `sharer` into `folder` and is not complete, the youngest first.
    ///
    /// - Parameters:
    ///   - paths: in the order of the command line.
    ///   - now: in milliseconds since 1970.
    func fetching(
        from sharer: Party, paths: [String], into folder: String, now: UInt64
    ) throws(FileError) -> [ReceivedRecord] {
        try all(now: now).compactMap { record in
            guard case .receiving(let record) = record, record.sender == sharer, record.fetched == paths,
                record.folder == folder
            else { return nil }
            return record
        }
    }

    /// Keeps it in mind until it is forgotten, or for a week; also to be called when it is worked on again, from which
    /// the week is counted. What is too much to keep, is not kept.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func remember(_ record: TransferRecord, now: UInt64) throws(FileError) {
        guard let content = record.encoded(touched: now) else { return }
        try PrivateDirectory.locked(folder) { folder throws(FileError) in
            let name = Self.name(record.transfer, Self.direction(of: record))
            try folder.write(content, to: name, replacing: true, isDurable: false)
            let all = try read(&folder, now: now)
            for old in all.dropFirst(Defaults.mostRecords) { try folder.remove(old.name) }
        }
    }

    /// It is complete, or given up.
    func forget(_ transfer: CarriedTransfer, _ direction: Direction) throws(FileError) {
        guard let folder = try PrivateDirectory(path: folder, creating: false) else { return }
        try folder.remove(Self.name(transfer, direction))
    }

    // MARK: - The files

    private typealias Entry = (name: String, record: TransferRecord, touched: UInt64)

    private static func direction(of record: TransferRecord) -> Direction {
        switch record {
        case .sending: .send
        case .receiving: .receive
        }
    }

    private static func name(_ transfer: CarriedTransfer, _ direction: Direction) -> String {
        "\(direction.rawValue)-\(transfer)"
    }

    /// The youngest first.
    private func read(_ folder: inout PrivateDirectory, now: UInt64) throws(FileError) -> [Entry] {
        var entries: [Entry] = []
        for name in try folder.names() where Direction.allCases.contains(where: { name.hasPrefix($0.rawValue + "-") }) {
            guard let content = try? folder.read(name, limit: Defaults.maximumRecord),
                let (record, touched) = TransferRecord.decode(content),
                Self.name(record.transfer, Self.direction(of: record)) == name,
                touched > now || now - touched <= Defaults.recordLifetime
            else {
                try folder.remove(name)
                continue
            }
            entries.append((name, record, touched))
        }
        return entries.sorted { ($0.record.since, $0.name) > ($1.record.since, $1.name) }
    }
}
