// SPDX-License-Identifier: Apache-2.0

/// The key of one month that others seal their offers to, as a client publishes it at login and `lookup` returns it.
///
/// Whether the signature holds is for clients to say: they know which identity a name has. The relay looks at the form
/// alone.
package struct PublishedPrekey: Hashable, Sendable, Codable {
    /// The month: twelve times the year, and the month from 0.
    package var epoch: UInt32
    package var key: PrekeyBytes
    /// Ed25519, by the identity that the name belongs to.
    package var signature: PrekeySignature

    package init(epoch: UInt32, key: PrekeyBytes, signature: PrekeySignature) {
        self.epoch = epoch
        self.key = key
        self.signature = signature
    }

    /// Whether this one, with which a user has just logged in, is to take the place of `known`.
    ///
    /// The latest login counts, with one exception: a copy of the profile whose clock has yet to reach the month of
    /// `known`, and which has the same keys, would bring back the key of the month before. A key that is further behind
    /// is not from a copy: then a wrong clock had made `known`, and senders refuse that one.
    package func replaces(_ known: PublishedPrekey?) -> Bool {
        guard let known else { return true }
        return self != known && (known.epoch == 0 || epoch != known.epoch - 1)
    }
}
