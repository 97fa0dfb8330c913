// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// The sender's 16 random bytes that name what a person asked for, the same for each attempt to carry it.
package enum CarriedTransferKind: FixedBytesKind { package static var length: Int { 16 } }

package typealias CarriedTransfer = FixedBytes<CarriedTransferKind>
/// What a requester asked for, as the wire names it.
package typealias PullRequest = PullRequestID
/// One attempt to carry a transfer: what the wire calls a transfer.
package typealias AttemptID = TransferID

/// Who carries what: an attempt, and both sides of it.
package struct AttemptParties: Hashable, Sendable {
    package let attempt: AttemptID
    package let sender: Party
    package let receiver: Party

    package init(attempt: AttemptID, sender: Party, receiver: Party) {
        self.attempt = attempt
        self.sender = sender
        self.receiver = receiver
    }
}
