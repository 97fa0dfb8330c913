// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// How this program calls itself.
enum ClientAgent {
    /// The version that `--version` prints.
    static let version = "0.1.0"
    /// Program and version, for HTTP's User-Agent and the protocol's `agent`.
    static let text = "relay-client/\(version)"
    /// The same as the field of a message; nil only if the text above were not printable ASCII.
    static let label = Label(rawValue: text)
}
