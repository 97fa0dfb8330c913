// SPDX-License-Identifier: Apache-2.0

/// Why another node could not be dialled.
enum NodeDialError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Nobody listens there.
    case refused
    /// Not reached in time, or not at all: what the system or TLS says.
    case unreachable(String)
    /// Somebody is there who is not that node, or who does not accept this one: what TLS says.
    case untrusted(String)
    /// Somebody is there with a certificate of an authority that this node does not know: what TLS says.
    case otherAuthority(String)

    /// One line for the log.
    var description: String {
        switch self {
        case .refused: "the port refuses connections"
        case .unreachable(let words), .untrusted(let words), .otherAuthority(let words): words
        }
    }
}
