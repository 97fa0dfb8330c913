// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// In whose name a session is, and where.
package struct Owner: Hashable, Sendable {
    package var name: PeerName
    /// The address whose limits it shares; nil when there are none.
    package var address: String?

    package init(name: PeerName, address: String?) {
        self.name = name
        self.address = address
    }
}
