// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import FoundationEssentials

/// The variables this process was started with. The only place that reads them.
struct Environment: Sendable {
    let variables: [String: String]

    /// The variables of this process.
    static var current: Environment { Environment(variables: ProcessInfo.processInfo.environment) }

    /// The value of `name`; without what a paste or a file has put around it; nil when it is not set or empty.
    subscript(name: Variable) -> String? {
        guard let text = variables[name.rawValue] else { return nil }
        let value = name.isPath ? Pasted.path(text) : Pasted.trimmed(text)
        return value.isEmpty ? nil : value
    }

    /// The variables of this program's own.
    enum Variable: String, Sendable, CaseIterable {
        case profile = "RELAY_PROFILE"
        case server = "RELAY_SERVER"
        case ca = "RELAY_CA"
        case invite = "RELAY_INVITE"

        /// Whether it names a file or a folder.
        var isPath: Bool {
            switch self {
            case .profile, .ca: true
            case .server, .invite: false
            }
        }
    }
}
