// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import ServerSystem
package import StreamRelay
import Synchronization

/// The balancers in front of this node, which are believed when they say whose a connection is.
package final class TrustedPeers: Sendable {
    /// Where the address of a connection's client is found.
    package enum Origin: Hashable, Sendable {
        /// It is the connection's own.
        case connection
        /// In the PROXY header, which has to come first.
        case header
        /// In the request's last X-Forwarded-For field.
        case field
    }

    private let sendingHeader: [AddressRange]
    private let sendingField: [AddressRange]
    private let hadFault = Atomic(false)

    /// - Parameters:
    ///   - sendingHeader: peers whose connections begin with a PROXY header.
    ///   - sendingField: peers whose X-Forwarded-For is believed; those in the first list need none.
    package init(sendingHeader: [AddressRange] = [], sendingField: [AddressRange] = []) {
        self.sendingHeader = sendingHeader
        self.sendingField = sendingField
    }

    /// Where to look for the client of a connection from `peer`.
    package func origin(for peer: SocketAddress?) -> Origin {
        guard let peer else { return .connection }
        if sendingHeader.contains(where: { $0.contains(peer) }) { return .header }
        return sendingField.contains { $0.contains(peer) } ? .field : .connection
    }

    /// The client that a balancer's request is made for: the last address of the last field, which is the one that the
    /// balancer wrote itself; everything before it may be the client's own invention. Nil when there is none.
    package static func client(of head: RequestHead) -> SocketAddress? {
        head.members(of: "x-forwarded-for").last.flatMap { try? SocketAddress(ipAddress: $0, port: 0) }
    }

    /// True once only: what is wrong with a balancer's settings is wrong with every connection.
    func isFirstFault() -> Bool { !hadFault.exchange(true, ordering: .relaxed) }
}
