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

    /// How many may be written at once.
    var parallelDownloads: Int {
        switch self {
        case .folder: Defaults.parallelDownloads
        case .standardOutput: 1
        }
    }
}
