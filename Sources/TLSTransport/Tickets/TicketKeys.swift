// SPDX-License-Identifier: Apache-2.0

private import NIOCore
private import Synchronization

/// Where server contexts find the keys of their session tickets. Any number of contexts may share one; the keys can be
/// replaced at any time, from any thread.
///
/// Keys of its own are rotated here, as they are used. Keys that a caller gave are left as they are: the caller, which
/// shares them between servers, rotates them.
package final class TicketKeys: Sendable {
    private struct State {
        var keyring: TicketKeyring
        var isOwn: Bool
    }

    private let state: Mutex<State>
    /// Seconds, only ever forwards.
    private let clock: @Sendable () -> Int64

    /// Fresh random keys, which no other process has.
    ///
    /// - Parameter clock: seconds that never go back, by which the keys are rotated.
    package init(clock: @escaping @Sendable () -> Int64 = TicketKeys.uptime) {
        self.clock = clock
        state = Mutex(State(keyring: TicketKeyring(.random(created: clock())), isOwn: true))
    }

    /// Keys that the caller shares between servers, and rotates.
    package init(_ keyring: TicketKeyring) {
        clock = { 0 }
        state = Mutex(State(keyring: keyring, isOwn: false))
    }

    /// Uses `keyring` from the next ticket on, in place of whatever was used before.
    package func replace(with keyring: TicketKeyring) {
        state.withLock { $0 = State(keyring: keyring, isOwn: false) }
    }

    /// Uses fresh keys of its own again, in place of shared ones, which the caller does not rotate any more.
    package func useOwn() {
        let keyring = TicketKeyring(.random(created: clock()))
        state.withLock { $0 = State(keyring: keyring, isOwn: true) }
    }

    /// What seals and opens tickets now.
    package var keyring: TicketKeyring {
        let now = clock()
        return state.withLock { state in
            if state.isOwn { state.keyring.rotate(at: now) { .random(created: $0) } }
            return state.keyring
        }
    }

    /// Seconds since the machine started.
    package static func uptime() -> Int64 { Int64(NIODeadline.now().uptimeNanoseconds / 1_000_000_000) }
}
