// SPDX-License-Identifier: Apache-2.0

/// When a TLS handler may do what: the handshake first, close_notify at most once, nothing after an end.
///
/// A pure value. Each event has one method, which says what to do about it.
struct TLSStateMachine: Equatable, Sendable {
    /// How far the connection has come.
    enum State: CaseIterable, Hashable, Sendable {
        /// The channel is not active yet.
        case idle
        case handshaking
        case open
        /// The peer sent close_notify, or the connection ended on its side.
        case inputEnded
        /// We sent close_notify, and go on reading.
        case outputEnded
        /// Both sides have ended: the peer's input, and our output.
        case bothEnded
        /// The channel closes as soon as everything written has left.
        case closing
        case closed
        /// The session goes on elsewhere.
        case handedOver
    }

    /// Where the connection is now.
    private(set) var state: State

    /// Begins before the handshake, or wherever a connection that is handed over has come to.
    init(_ state: State = .idle) {
        self.state = state
    }

    /// Whether to begin the handshake.
    enum StartResult: Equatable { case handshake, ignore }

    /// The channel is active.
    mutating func channelBecameActive() -> StartResult {
        switch state {
        case .idle:
            state = .handshaking
            return .handshake
        case .handshaking, .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed, .handedOver:
            return .ignore
        }
    }

    /// Whether to tell the other handlers.
    enum AnnounceResult: Equatable { case announce, ignore }

    /// The handshake is complete.
    mutating func handshakeCompleted() -> AnnounceResult {
        switch state {
        case .handshaking:
            state = .open
            return .announce
        case .idle, .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed, .handedOver:
            return .ignore
        }
    }

    /// What to do with ciphertext.
    enum CiphertextResult: Equatable {
        case handshake
        case decrypt
        case discard
        /// Give it to the handler that has the session now.
        case passOn
    }

    /// Ciphertext came from the channel.
    func ciphertextReceived() -> CiphertextResult {
        switch state {
        case .handshaking: .handshake
        case .open, .outputEnded: .decrypt
        case .idle, .inputEnded, .bothEnded, .closing, .closed: .discard
        case .handedOver: .passOn
        }
    }

    /// The peer's close_notify was decrypted.
    mutating func closeNotifyReceived() -> AnnounceResult {
        switch state {
        case .open: state = .inputEnded
        case .outputEnded: state = .bothEnded
        case .idle, .handshaking, .inputEnded, .bothEnded, .closing, .closed, .handedOver: return .ignore
        }
        return .announce
    }

    /// What the end of the stream of bytes means.
    enum EndResult: Equatable {
        /// The peer gave up during the handshake.
        case failHandshake
        /// The end came without close_notify.
        case announceTruncation
        case ignore
    }

    /// No more bytes will come from the channel.
    mutating func inputEnded() -> EndResult {
        switch state {
        case .handshaking:
            return .failHandshake
        case .open:
            state = .inputEnded
            return .announceTruncation
        case .outputEnded:
            state = .bothEnded
            return .announceTruncation
        case .idle, .inputEnded, .bothEnded, .closing, .closed, .handedOver:
            return .ignore
        }
    }

    /// The channel is closed, after `inputEnded`.
    mutating func channelBecameInactive() {
        switch state {
        case .idle, .handshaking, .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed: state = .closed
        case .handedOver: break
        }
    }

    /// What to do with plaintext that is to be written.
    enum WriteResult: Equatable {
        /// Keep it until the handshake is complete.
        case hold
        case encrypt
        case refuse
    }

    /// A handler wrote plaintext. It is never passed on as it is, also not when the session has gone elsewhere.
    func plaintextWritten() -> WriteResult {
        switch state {
        case .idle, .handshaking: .hold
        case .open, .inputEnded: .encrypt
        case .outputEnded, .bothEnded, .closing, .closed, .handedOver: .refuse
        }
    }

    /// How to close.
    enum CloseResult: Equatable {
        case closeChannel
        /// Close when everything has left; say close_notify first, unless that was done.
        case closeAfterFlush(sendingCloseNotify: Bool)
        /// Nothing: the close is under way.
        case wait
    }

    /// A handler closed the channel.
    mutating func closeRequested() -> CloseResult {
        switch state {
        case .idle, .handshaking:
            state = .closed
            return .closeChannel
        case .open, .inputEnded:
            state = .closing
            return .closeAfterFlush(sendingCloseNotify: true)
        case .outputEnded, .bothEnded:
            state = .closing
            return .closeAfterFlush(sendingCloseNotify: false)
        case .closing:
            return .wait
        case .closed, .handedOver:
            return .closeChannel
        }
    }

    /// How to close the sending direction.
    enum CloseOutputResult: Equatable { case sendCloseNotify, refuse, passOn }

    /// A handler closed the sending direction only.
    mutating func closeOutputRequested() -> CloseOutputResult {
        switch state {
        case .open: state = .outputEnded
        case .inputEnded: state = .bothEnded
        case .idle, .handshaking, .outputEnded, .bothEnded, .closing, .closed: return .refuse
        case .handedOver: return .passOn
        }
        return .sendCloseNotify
    }

    /// Whether the channel is to be closed now.
    enum FinishResult: Equatable { case closeChannel, ignore }

    /// Everything has left, or it has taken too long.
    mutating func flushFinished() -> FinishResult {
        switch state {
        case .closing:
            state = .closed
            return .closeChannel
        case .idle, .handshaking, .open, .inputEnded, .outputEnded, .bothEnded, .closed, .handedOver:
            return .ignore
        }
    }

    /// A handler asked for a cut. The channel is closed at once, whatever the state.
    mutating func abortRequested() {
        switch state {
        case .idle, .handshaking, .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed: state = .closed
        case .handedOver: break
        }
    }

    /// Whether to report an error and close the channel.
    enum FailureResult: Equatable { case reportAndClose, ignore }

    /// The session cannot go on. What comes after this is not reported a second time.
    mutating func failed() -> FailureResult {
        switch state {
        case .idle, .handshaking, .open, .inputEnded, .outputEnded, .bothEnded:
            state = .closed
            return .reportAndClose
        case .closing, .closed, .handedOver:
            return .ignore
        }
    }

    /// The time for the handshake is over.
    mutating func handshakeTimedOut() -> FailureResult {
        switch state {
        case .idle, .handshaking:
            state = .closed
            return .reportAndClose
        case .open, .inputEnded, .outputEnded, .bothEnded, .closing, .closed, .handedOver:
            return .ignore
        }
    }

    /// Whether the session may go, and in which state it goes on.
    enum HandOverResult: Equatable {
        case give(State)
        case refuse
    }

    /// The caller wants to move the session to another channel.
    mutating func handOverRequested() -> HandOverResult {
        switch state {
        case .open, .inputEnded, .outputEnded, .bothEnded:
            defer { state = .handedOver }
            return .give(state)
        case .idle, .handshaking, .closing, .closed, .handedOver:
            return .refuse
        }
    }
}
