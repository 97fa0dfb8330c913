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

    /// The observer of the handler that gave the session up.
    let observer: TLSObserver

    /// Takes over the session.
    init(_ connection: TLSConnection, state: TLSStateMachine.State, observer: TLSObserver) {
        self.observer = observer
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
