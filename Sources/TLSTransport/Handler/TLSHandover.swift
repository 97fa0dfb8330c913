// SPDX-License-Identifier: Apache-2.0

internal import NIOCore
private import Synchronization

/// A TLS session on its way from one channel to another, perhaps on another event loop.
///
/// Holds the session, ciphertext that is not decrypted yet, and what arrives at the old channel in the meantime. It can
/// be adopted once: `TLSHandler(adopting:)`.
// SAFETY: `detach` gives the session up when it makes this, its only owner then, and every access is under `lock`.
package final class TLSHandover: @unchecked Sendable {
    private let lock = Mutex(())
    private var connection: TLSConnection?

    /// Where the session was when it left its handler.
    let state: TLSStateMachine.State

    /// As the handler's.
    let limitMet: (@Sendable () -> Void)?

    /// Takes over the session.
    init(_ connection: TLSConnection, state: TLSStateMachine.State, limitMet: (@Sendable () -> Void)?) {
        self.limitMet = limitMet
        self.connection = connection
        self.state = state
    }

    /// Takes the session out. Nil if another caller was faster.
    func take() -> TLSConnection? {
        lock.withLock { _ in connection.take() }
    }

    /// Adds ciphertext that came to the old channel after all. Dropped if the session has been adopted: two channels
    /// must not read from one socket.
    func append(_ ciphertext: ByteBuffer) {
        lock.withLock { _ in connection?.store.append(ciphertext) }
    }
}

/// What `TLSHandler` tells the handlers behind it, as inbound user events.
package enum TLSEvent: Hashable, Sendable {
    /// The handshake is complete; a client knows that the server is who it should be.
    case handshakeCompleted(TLSHandshakeSummary)
    /// The peer sent close_notify: it has said all it wanted to say.
    case peerClosed
    /// The connection ended without close_notify: something may be missing at the end (RFC 8446, section 6.1).
    case truncated
}

extension TLSHandler {
    /// A peer that said something else than TLS and left was not waiting for a handshake.
    var endDuringHandshake: TLSError {
        TLSError(connection?.looksLikeTLS == false ? .notTLS : .closedDuringHandshake)
    }

    /// Tells who wants to know it how the handshake ended, once.
    func tellHandshake(_ end: TLSHandshakeEnd) {
        handshakeEnded?(end)
        handshakeEnded = nil
    }
}

/// How a handshake ended.
package enum TLSHandshakeEnd: Hashable, Sendable {
    case complete(TLSHandshakeSummary)
    case failed
}

/// What the handlers behind `TLSHandler` can ask of it, as outbound user events.
package enum TLSCommand: Hashable, Sendable {
    /// Close the channel at once and without close_notify: the peer must not take a cut for an end. What is written
    /// and has not left yet is dropped.
    case abort
}
