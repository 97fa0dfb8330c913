// SPDX-License-Identifier: Apache-2.0

package import Crypto

/// The keys of one attempt, which are used for no other and are never stored.
package struct AttemptKeys: Sendable {
    /// What chunks are sealed with.
    package let content: SymmetricKey
    let senderNotes: SymmetricKey
    let receiverNotes: SymmetricKey
    let delivered: SymmetricKey

    /// - Parameter offer: the hash of the offer's payload.
    /// - Parameter accept: the hash of the acceptance's.
    /// - Parameter randoms: the sender's random bytes, and then the receiver's.
    init(offer: [UInt8], accept: [UInt8], randoms: [UInt8]) {
        let labels: [SealingLabel] = [.content, .noteSender, .noteReceiver, .delivered]
        let keys = KeyDerivation.keys(
            salt: KeyDerivation.hash(offer + accept), material: SymmetricKey(data: randoms), infos: labels.map(\.bytes)
        )
        content = keys[0]
        senderNotes = keys[1]
        receiverNotes = keys[2]
        delivered = keys[3]
    }
}
