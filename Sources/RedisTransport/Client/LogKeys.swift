// SPDX-License-Identifier: Apache-2.0

/// The keys of this module's log metadata. None is ever given a password, a command's arguments or a message.
enum LogKeys {
    /// What went wrong, in words.
    static let error = "error"
    /// Host and port of the Redis.
    static let redis = "redis"
    /// Product and version of the server there.
    static let version = "version"
}
