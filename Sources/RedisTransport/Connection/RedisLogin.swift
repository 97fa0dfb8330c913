// SPDX-License-Identifier: Apache-2.0

internal import WSProtocol

/// A user and a password, as `[user:]password`; percent signs mean what they mean in a URL. No form shows the password.
package struct RedisLogin: Hashable, Sendable {
    private let user: String?
    private let password: String

    /// Why a text is no login.
    package struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        /// What is wrong and how to write it, for an operator.
        package let description: String
    }

    /// Reads what a person wrote.
    package init(_ text: String) throws(Malformed) {
        let colon = text.firstIndex(of: ":")
        let user = colon.map { text[..<$0] } ?? ""
        let password = colon.map { text[text.index(after: $0)...] } ?? text[...]
        guard let user = PercentEncoding.decodeUTF8(user), let password = PercentEncoding.decodeUTF8(password),
            !password.isEmpty
        else {
            throw Malformed(description: "a login is PASSWORD or USER:PASSWORD; write : as %3A and % itself as %25")
        }
        (self.user, self.password) = (user.isEmpty ? nil : user, password)
    }

    /// What logs in.
    var command: RedisCommand {
        guard let user else { return RedisCommand("AUTH", password) }
        return RedisCommand("AUTH", user, password)
    }
}

extension RedisLogin: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The user alone.
    package var description: String { "\(user ?? ""):***" }

    /// The user alone, as in ``description``: a debugger and a log must not show the password either.
    package var debugDescription: String { description }

    /// Nothing: a dump must not show the password either.
    package var customMirror: Mirror { Mirror(self, children: []) }
}
