// SPDX-License-Identifier: Apache-2.0

import Logging
import ServerSystem

/// Writes each event as one line of a ``LogFormat``.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let format: LogFormat
    private let write: @Sendable (String) -> Void

    /// - Parameter write: takes one whole line at a time, from any thread.
    init(level: Logger.Level, format: LogFormat, write: @escaping @Sendable (String) -> Void) {
        logLevel = level
        self.format = format
        self.write = write
    }

    /// The process's logger, as configured.
    /// - Throws: ``OperatorError`` when the log file cannot be opened.
    static func logger(_ configuration: LogConfiguration) throws(OperatorError) -> Logger {
        let sink = if let file = configuration.file { try LogSink(path: file) } else { LogSink.standardError }
        let handler = LineLogHandler(level: configuration.level, format: configuration.format) { sink.write($0) }
        return Logger(label: "relay-server", factory: { _ in handler })
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var values = metadata
        if let provided = metadataProvider?.get() { values.merge(provided) { _, new in new } }
        if let given = event.metadata { values.merge(given) { _, new in new } }
        if let error = event.error { values[LogKeys.error] = "\(error)" }
        write(
            LogRecord(time: .now, level: event.level, message: "\(event.message)", metadata: values).line(format)
        )
    }
}

/// What is logged, how, and where to.
struct LogConfiguration: Hashable, Sendable {
    var level = Logger.Level.info
    var format = LogFormat.text
    /// A file to append to; nil means standard error.
    var file: String?
}

/// How a log line looks.
enum LogFormat: String, Hashable, Sendable, CaseIterable {
    /// For people: time, level, message, `key=value`.
    case text
    /// For programs: one JSON object a line.
    case json
}
