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
    private let contents = Mutex(Contents(day: 0, bytes: [:]))

    package init(directory: StateDirectory) { self.directory = directory }

    package func load(day: Int64) -> [PeerName: UInt64] {
        let path = StateDirectory.path(of: Self.name, in: directory.path)
        guard let bytes = try? BoundedFile.read(path, limit: Defaults.Traffic.maximumFileSize),
            let found = StrictJSON.decode(Contents.self, from: bytes), found.day == day
        else { return [:] }
        contents.withLock { $0 = found }
        return Dictionary(
            found.bytes.compactMap { name, bytes in PeerName(rawValue: name).map { ($0, bytes) } },
            uniquingKeysWith: max)
    }

    package func add(_ moved: [PeerName: UInt64], day: Int64) async -> [PeerName: UInt64] {
        guard !moved.isEmpty else { return [:] }
        let now = contents.withLock { contents in
            if contents.day != day { contents = Contents(day: day, bytes: [:]) }
            for (name, bytes) in moved { contents.bytes[name.rawValue, default: 0] &+= bytes }
            return contents
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        unsafe unlinkat(directory.descriptor, Self.temporaryName, 0)
        // What cannot be written now is with the next: the count in memory goes on.
        if let text = try? encoder.encode(now) {
            try? AtomicFile.write(
                text, to: Self.name, in: directory.descriptor, by: Self.temporaryName, isDurable: false)
        }
        return [:]
    }
}
