// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The variables this process was started with. The only place that reads them.
struct Environment: Sendable {
    let variables: [String: String]

    /// Those of this process.
    static var current: Environment { Environment(variables: ProcessInfo.processInfo.environment) }

    /// The value of `name`; nil when it is not set or empty.
    subscript(name: Variable) -> String? {
        variables[name.rawValue].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// The variables of this program's own.
    enum Variable: String, Sendable, CaseIterable {
        case profile = "RELAY_PROFILE"
        case server = "RELAY_SERVER"
        case ca = "RELAY_CA"
        case invite = "RELAY_INVITE"
    }
}
