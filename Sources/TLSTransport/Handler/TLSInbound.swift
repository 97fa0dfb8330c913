// SPDX-License-Identifier: Apache-2.0

/// What a TLS handler remembers of its inbound direction between two reads.
///
/// Numbers only: changing them runs no other code, so the compiler can leave out the checks for exclusive access.
struct TLSInbound {
    /// Whether a later handler asked for data and has not got any since.
    private(set) var isRequested = false
    /// Whether the session may hold data that no new ciphertext is needed for.
    private(set) var mayHavePending: Bool
    /// Answers of TLS's own that went out while the peer was not reading.
    private var unreadAnswers = 0

    /// - Parameter mayHavePending: whether the session comes from another handler, with data inside.
    init(mayHavePending: Bool) { self.mayHavePending = mayHavePending }

    /// A later handler asked for data.
    mutating func requested() { isRequested = true }

    /// A later handler got data.
    mutating func delivered() { isRequested = false }

    /// The handshake is complete: application data may have come with its last flight.
    mutating func opened() { mayHavePending = true }

    /// All that the session holds is about to be decrypted.
    mutating func beganDecrypting() { mayHavePending = false }

    /// TLS itself has something to say to what was read. Returns false to a peer that provokes answers and never reads
    /// them: they would pile up here.
    mutating func mayAnswer(peerReads: Bool) -> Bool {
        unreadAnswers = peerReads ? 0 : unreadAnswers + 1
        return unreadAnswers <= TLSDefaults.unreadAnswerLimit
    }
}
