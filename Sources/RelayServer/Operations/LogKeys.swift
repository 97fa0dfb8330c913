// SPDX-License-Identifier: Apache-2.0

/// The keys of log metadata.
enum LogKeys {
    /// What went wrong, in words.
    static let error = "error"
}
