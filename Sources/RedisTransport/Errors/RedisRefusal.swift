// SPDX-License-Identifier: Apache-2.0

/// Why Redis, or its version, is of no use to this node until somebody changes the configuration. Trying again does not
/// help.
package enum RedisRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// The user or the password is wrong.
    case wrongPassword
    /// Redis wants a password and the URL has none.
    case passwordMissing
    /// The URL has a password and Redis has none.
    case passwordNotExpected
    /// The version is older than the oldest that works.
    case tooOld(String)
    /// The user may not run a command that is needed.
    case notPermitted(String)
    /// There is no database of this number.
    case noSuchDatabase(Int)
    /// Redis takes connections from its own machine only.
    case protectedMode

    /// One line: what is wrong, and what to do about it.
    package var description: String {
        switch self {
        case .wrongPassword:
            "Redis says that the user name or the password is wrong; correct it in the URL of Redis"
        case .passwordMissing:
            "Redis wants a password; write the URL as redis://user:password@host:port"
        case .passwordNotExpected:
            "the URL of Redis has a password and Redis has none; set one there (requirepass, or an ACL user)"
        case .tooOld(let version):
            "Redis \(version) is too old; \(RedisVersion.oldest) or newer is needed, or any Valkey"
        case .notPermitted(let what):
            "the Redis user may not use \(what); allow it in its ACL"
        case .noSuchDatabase(let number):
            "Redis has no database \(number); choose another at the end of its URL"
        case .protectedMode:
            "Redis is in protected mode and takes no connections from other machines; give it a password"
        }
    }
}
