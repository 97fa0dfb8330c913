// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Synchronization
import TransferBroker
import WSProtocol

/// 16 random bytes that name one life of Redis' contents.
enum EpochKind: FixedBytesKind { package static var length: Int { 16 } }

typealias Epoch = FixedBytes<EpochKind>

/// Which life of Redis' contents this node has seen last: for any thread.
///
/// Right after a change an absent key says nothing, because nodes are still writing their keys again.
final class ClusterEpoch: Sendable {
    private struct State {
        var known: Epoch?
        /// When `known` replaced another one.
        var changed: NIODeadline?
    }

    private let state = Mutex(State())
    private let settling: TimeAmount

    /// - Parameter settling: how long nodes may take to write everything again.
    init(settling: TimeAmount = Defaults.Routing.settling) { self.settling = settling }

    /// The one this node knows; nil before it has reached Redis.
    var known: Epoch? { state.withLock { $0.known } }

    /// The node has joined `epoch`.
    /// - Parameter isShared: whether other nodes have to write their keys in it although this one has just come.
    func joined(_ epoch: Epoch, isShared: Bool = false, now: NIODeadline) {
        state.withLock { state in
            guard state.known != epoch else { return }
            if state.known != nil || isShared { state.changed = now }
            state.known = epoch
        }
    }

    /// Another process has the contents now, and may lack what was written last, in the same epoch.
    func mayLack(now: NIODeadline) {
        state.withLock { state in
            if state.known != nil { state.changed = now }
        }
    }

    /// All other nodes have written their keys.
    func othersCame() { state.withLock { $0.changed = nil } }

    /// Whether the absence of a key, read together with `epoch`, means that it does not exist.
    ///
    /// A node that knows no epoch yet has nothing to compare with and believes what it reads.
    func isSettled(_ epoch: Epoch?, now: NIODeadline) -> Bool {
        state.withLock { state in
            guard let known = state.known else { return true }
            guard known == epoch else { return false }
            return state.changed.map { now >= $0 + settling } ?? true
        }
    }
}
