// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// A session of this node that is logged in, as the ``Broker`` knows it.
package struct BrokerSession: Sendable {
    /// Who it is, with the keys that its own login vouched for.
    package let user: User
    /// In whose name it holds what it holds.
    package let owner: Owner
    /// Whether it wants to be rung.
    var isReceiving = false
    /// The transfers it offered.
    package var offered: Set<TransferID> = []
    /// The transfers on whose receiving side it is: rung, or accepted; of this home and of others.
    var incoming: Set<TransferID> = []
    /// Those that it accepted.
    package var accepted: Set<TransferID> = []
    /// Those that it offered and a receiver accepted.
    package var taken: Set<TransferID> = []
    /// `r1` was the challenge.
    private var lastID: UInt64 = 1

    init(user: User, at address: String?) {
        self.user = user
        owner = Owner(name: user.name, address: address)
    }

    /// Whether a graceful stop has to wait for it.
    package var isBusy: Bool { !accepted.isEmpty || !taken.isEmpty }

    /// The next id for something the relay says unasked.
    mutating func nextID() -> RequestID {
        lastID += 1
        return .sequence(.relay, lastID)
    }
}
