// SPDX-License-Identifier: Apache-2.0

/// How a log line looks.
enum LogFormat: String, Hashable, Sendable, CaseIterable {
    /// For people: time, level, message, `key=value`.
    case text
    /// For programs: one JSON object a line.
    case json
}
