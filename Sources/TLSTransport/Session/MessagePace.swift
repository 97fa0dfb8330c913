// SPDX-License-Identifier: Apache-2.0

private import COpenSSL
internal import NIOCore
internal import Pacing

/// Counts the messages of TLS's own on one connection: key updates, alerts, and whatever else carries no data. Each
/// costs more to answer than to send, and OpenSSL reads any number of them in one call.
///
/// Belongs to the thread of its connection.
final class MessagePace {
    /// Whether there were more of them than may be; the rest of the ciphertext is dropped then.
    private(set) var isExceeded = false
    /// For tests.
    var clock: () -> NIODeadline = NIODeadline.now
    private let store: CiphertextStore
    private var pace: Pace

    /// - Parameter store: where OpenSSL gets its ciphertext from.
    init(_ store: CiphertextStore) {
        self.store = store
        pace = Pace(now: .now())
    }

    /// Counts for `ssl`, which must not outlive this.
    func watch(_ ssl: OpaquePointer) {
        unsafe COpenSSL_SSL_set_msg_callback_arg(ssl, Unmanaged.passUnretained(self).toOpaque())
        unsafe SSL_set_msg_callback(ssl) { isWritten, _, type, _, _, _, argument in
            guard MessagePace.isCounted(type, isWritten: isWritten != 0), let argument = unsafe argument else { return }
            unsafe Unmanaged<MessagePace>.fromOpaque(argument)._withUnsafeGuaranteedRef { $0.count() }
        }
    }

    /// Records come here too, each twice. Of what is written, alerts tell of messages that are refused without being
    /// shown: the wish to negotiate again under TLS 1.2.
    private static func isCounted(_ type: CInt, isWritten: Bool) -> Bool {
        switch type {
        case SSL3_RT_ALERT: true
        case SSL3_RT_HANDSHAKE, SSL3_RT_CHANGE_CIPHER_SPEC: !isWritten
        default: false
        }
    }

    private func count() {
        guard !pace.take(1, of: TLSDefaults.messages, now: clock()) else { return }
        isExceeded = true
        store.dropInbound()
    }
}
