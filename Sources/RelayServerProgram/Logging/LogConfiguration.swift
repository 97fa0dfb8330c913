// SPDX-License-Identifier: Apache-2.0

import Logging

/// What is logged, how, and where to.
struct LogConfiguration: Hashable, Sendable {
    var level = Logger.Level.info
    var format = LogFormat.text
    /// A file to append to; nil means standard error.
    var file: String?
}
