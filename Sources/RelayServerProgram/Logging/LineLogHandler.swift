// SPDX-License-Identifier: Apache-2.0

import Logging
import ServerSystem

/// Writes each event as one line of a ``LogFormat``.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level {
        get { ownLevel ?? level.current }
        set { ownLevel = newValue }
    }
    /// The level of one copy of the logger, which has been set by hand.
    private var ownLevel: Logger.Level?
    /// The level of all copies that have none of their own.
    private let level: Replaceable<Logger.Level>
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let format: LogFormat
    private let addresses: LogAddresses
    private let write: @Sendable (String) -> Void

    /// - Parameters:
    ///   - addresses: what of each client's address is in the lines.
    ///   - write: takes one whole line at a time, from any thread.
    init(
        level: Logger.Level, format: LogFormat, addresses: LogAddresses = .full,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.init(level: Replaceable(level), format: format, addresses: addresses, write: write)
    }

    private init(
        level: Replaceable<Logger.Level>, format: LogFormat, addresses: LogAddresses,
        write: @escaping @Sendable (String) -> Void
    ) {
        self.level = level
        self.format = format
        self.addresses = addresses
        self.write = write
    }

    /// The process's log, as configured.
    /// - Throws: ``OperatorError`` when the log file cannot be opened.
    static func log(_ configuration: LogConfiguration) throws(OperatorError) -> ServerLog {
        let sink = if let file = configuration.file { try LogSink(path: file) } else { LogSink.standardError }
        let level = Replaceable(configuration.level)
        let format = configuration.format
        let handler = LineLogHandler(level: level, format: format, addresses: configuration.addresses) { line in
            sink.write(line) { lost in
                let lost: Logger.Metadata = [LogKeys.count: "\(lost)"]
                return LogRecord(
                    time: .now, level: .warning, message: "lines of this log were lost: there was no room for them",
                    metadata: lost
                ).line(format)
            }
        }
        let logger = Logger(label: "relay-server", factory: { _ in handler })
        return ServerLog(logger: logger, level: level, sink: sink)
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
        // The one way of an address into the log: no part of the server has to think of it.
        if let remote = values[LogKeys.remote] {
            values[LogKeys.remote] = addresses.shown("\(remote)").map { "\($0)" }
        }
        write(
            LogRecord(time: .now, level: event.level, message: "\(event.message)", metadata: values).line(format)
        )
    }
}

/// The log of the process, and what can be changed about it while it is written.
struct ServerLog: Sendable {
    let logger: Logger
    /// The lowest level that is logged.
    let level: Replaceable<Logger.Level>
    let sink: LogSink

    init(logger: Logger, level: Replaceable<Logger.Level> = Replaceable(.info), sink: LogSink = .standardError) {
        self.logger = logger
        self.level = level
        self.sink = sink
    }

    /// Opens the log file by its name again: a program that rotates logs has moved it.
    func reopen() {
        do {
            try sink.reopen()
            logger.notice("log file opened again")
        } catch {
            logger.error("the log file stays the old one", metadata: [LogKeys.error: "\(error)"])
        }
    }
}

/// What is logged, how, and where to.
struct LogConfiguration: Hashable, Sendable {
    var level = Logger.Level.info
    var format = LogFormat.text
    /// What of clients' addresses is in the lines.
    var addresses = LogAddresses.full
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
