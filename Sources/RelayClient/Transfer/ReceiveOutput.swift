// SPDX-License-Identifier: Apache-2.0

/// Where received content goes.
enum ReceiveOutput: Sendable {
    case folder(ReceiveDirectory)
    /// Standard output, one content at a time.
    case standardOutput

    /// A place for one content. Throws ``FileError``.
    func makeSink(name: String, size: UInt64?) throws -> any ContentSink {
        switch self {
        case .folder(let directory): try directory.makeSink(offeredName: name, size: size)
        case .standardOutput: StandardOutputSink()
        }
    }

    /// Whether a content fits now, as far as that can be told. Throws ``FileError``.
    func checkRoom(name: String, size: UInt64?) throws {
        switch self {
        case .folder(let directory): try directory.checkRoom(offeredName: name, size: size)
        case .standardOutput: break
        }
    }

    /// How many may be written at once, of which `large` are not small.
    var parallelDownloads: (large: Int, all: Int) {
        switch self {
        case .folder: (Defaults.parallelDownloads, Defaults.parallelSmallDownloads)
        case .standardOutput: (1, 1)
        }
    }
}
