// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// What a TLS handler remembers between two reads: the memory for plaintext, whether a later handler waits for data,
/// and whether the session may still hold some.
struct TLSInbound {
    /// The plaintext of one read. Kept for the next, which uses its memory again if no other handler has kept it.
    private(set) var plaintext = ByteBuffer()
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

    /// Decrypts one piece.
    mutating func decrypt(_ connection: TLSConnection) -> (ByteBuffer, TLSConnection.ReadResult) {
        if let shared = connection.store.shared {
            let result = connection.read(into: &shared.plaintext, limit: TLSDefaults.sharedPieceLength)
            return (shared.plaintext, result)
        }
        let result = connection.read(into: &plaintext, limit: TLSDefaults.pieceLength)
        let bytes = plaintext
        if connection.releasesBuffers { plaintext = ByteBuffer() }
        return (bytes, result)
    }

    /// Gives back the memory.
    mutating func releaseMemory() { plaintext = ByteBuffer() }

    /// TLS itself has something to say to what was read. Returns false to a peer that provokes answers and never reads
    /// them: they would pile up here.
    mutating func mayAnswer(peerReads: Bool) -> Bool {
        unreadAnswers = peerReads ? 0 : unreadAnswers + 1
        return unreadAnswers <= TLSDefaults.unreadAnswerLimit
    }
}
