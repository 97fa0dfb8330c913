// SPDX-License-Identifier: Apache-2.0

/// Why another node could not be dialled.
enum NodeDialError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No process listens there.
    case refused
    /// Not reached in time, or not at all: what the system or TLS says.
    case unreachable(String)
    /// The peer there is not that node, or does not accept this one: what TLS says.
    case untrusted(String)
    /// The peer there has a certificate of an authority that this node does not know: what TLS says.
    case otherAuthority(String)

    /// One line for the log.
    var description: String {
        switch self {
        case .refused: "the port refuses connections"
        case .unreachable(let words), .untrusted(let words), .otherAuthority(let words): words
        }
    }
}
