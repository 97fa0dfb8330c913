// SPDX-License-Identifier: Apache-2.0

import TLSTransport
import TransferBroker

/// What to do about the cluster's ticket keys.
enum TicketDecision: Hashable, Sendable {
    /// Use them as they stand in Redis.
    case use(TicketKeyring)
    /// Replace them with these, unless another node was quicker.
    case write(TicketKeyring)
    /// They were sealed under another secret: this process keeps keys of its own.
    case keepOwn

    /// What stands in Redis.
    enum Stored: Hashable, Sendable {
        case nothing
        case unreadable
        case keyring(TicketKeyring)
    }

    /// - Parameters:
    ///   - current: the shared keys this node uses; nil when it has seen none.
    ///   - now: seconds of Redis' clock, by which keys are dated.
    ///   - fresh: makes a key of that time.
    init(
        _ stored: Stored, current: TicketKeyring?, now: Int64,
        fresh: (Int64) -> TicketKeyring.Key = { .random(created: $0) }
    ) {
        let inRedis: TicketKeyring?
        switch stored {
        case .unreadable:
            self = .keepOwn
            return
        case .nothing: inRedis = nil
        case .keyring(let keyring): inRedis = keyring
        }
        // A client that can write to Redis could put old keys back; those a node has are not given up for older ones.
        // Keys from the future were made by a clock that has been put right since.
        let candidates = [inRedis, current].compactMap { $0 }.filter {
            Self.date($0) <= now + Defaults.Routing.ticketDrift
        }
        guard var best = candidates.max(by: { Self.date($0) < Self.date($1) }) else {
            self = .write(TicketKeyring(fresh(now)))
            return
        }
        best.rotate(at: now, fresh: fresh)
        self = best == inRedis ? .use(best) : .write(best)
    }

    private static func date(_ keyring: TicketKeyring) -> Int64 { keyring.keys.first?.created ?? .min }
}
