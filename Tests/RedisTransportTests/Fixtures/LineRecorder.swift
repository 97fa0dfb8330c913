// SPDX-License-Identifier: Apache-2.0

import Logging

/// Keeps what is logged: level, message and metadata, each event a line.
struct LineRecorder: LogHandler {
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]
    private let lines: Journal<String>

    init(_ lines: Journal<String>) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
}
