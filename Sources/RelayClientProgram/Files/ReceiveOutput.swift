// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// Where received content goes.
enum ReceiveOutput: Sendable {
    case folder(ReceiveDirectory)
    /// Standard output, one content at a time.
    case standardOutput

    /// A place for one content.
    func makeSink(name: String, size: UInt64?) throws(FileError) -> any ContentSink {
        switch self {
        case .folder(let directory): return try directory.makeSink(offeredName: name, size: size)
        case .standardOutput: return StandardOutputSink()
        }
    }

    /// Whether a content fits now, as far as that can be told.
    func checkRoom(name: String, size: UInt64?) throws(FileError) {
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

/// What the person asked for.
struct ReceiveSettings: Sendable {
    var policy: ReceivePolicy
    var output: ReceiveOutput
    /// Whether to end after the first content.
    var isOnce = false
    /// A command to run for each content.
    var command: String?

    /// How many contents may come at once, of which `large` are not small.
    var parallelDownloads: (large: Int, all: Int) { isOnce ? (1, 1) : output.parallelDownloads }
}
