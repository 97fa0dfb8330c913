// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import PrivateFiles
package import ServerSystem
import Synchronization
import TransferBroker
package import WSProtocol

/// The bytes that users have moved in a day, in a file of the state directory of a single relay. One that is damaged
/// counts as none: it is about a day at most.
package final class TrafficFile: TrafficStore {
    package static let name = "traffic.json"
    private static let temporaryName = "traffic.json.new"

    private struct Contents: Codable {
        var day: Int64
        var bytes: [String: UInt64]
    }

    private let directory: StateDirectory
    private struct State {
        var contents = Contents(day: 0, bytes: [:])
        /// Whether the file is another process's.
        var isFrozen = false
    }

    private let state = Mutex(State())

    package init(directory: StateDirectory) { self.directory = directory }

    package func load(day: Int64) -> [PeerName: UInt64] {
        let path = StateDirectory.path(of: Self.name, in: directory.path)
        guard let bytes = try? BoundedFile.read(path, limit: Defaults.Traffic.maximumFileSize),
            let found = StrictJSON.decode(Contents.self, from: bytes), found.day == day
        else { return [:] }
        state.withLock { $0.contents = found }
        return Dictionary(
            found.bytes.compactMap { name, bytes in PeerName(rawValue: name).map { ($0, bytes) } },
            uniquingKeysWith: max)
    }

    package func add(_ moved: [PeerName: UInt64], day: Int64) async -> [PeerName: UInt64] {
        guard !moved.isEmpty else { return [:] }
        state.withLock { state in
            if state.contents.day != day { state.contents = Contents(day: day, bytes: [:]) }
            for (name, bytes) in moved { state.contents.bytes[name.rawValue, default: 0] &+= bytes }
            // With the lock: nothing is written any more once ``setFrozen(_:)`` has returned.
            if !state.isFrozen { write(state.contents) }
        }
        return [:]
    }

    /// Writes nothing any more, once this returns, and counts on in memory; or writes again, with what was counted
    /// meanwhile: another process reads the file, and writes it from then on.
    package func setFrozen(_ isFrozen: Bool) {
        state.withLock { state in
            defer { state.isFrozen = isFrozen }
            if state.isFrozen, !isFrozen, !state.contents.bytes.isEmpty { write(state.contents) }
        }
    }

    private func write(_ contents: Contents) {
        unsafe unlinkat(directory.descriptor, Self.temporaryName, 0)
        // What cannot be written now is with the next: the count in memory goes on.
        if let text = try? StrictJSON.data(of: contents) {
            try? AtomicFile.write(
                text, to: Self.name, in: directory.descriptor, by: Self.temporaryName, isDurable: false)
        }
    }
}
