// SPDX-License-Identifier: Apache-2.0

private import COpenSSL
private import Synchronization

/// A client's sessions that can be resumed, by server. Bounded; may be used from any thread.
final class SessionCache: Sendable {
    /// The sessions are held as addresses, each with one reference of its own, because a pointer cannot cross threads.
    private struct Entries {
        var sessions: [String: [UInt]] = [:]
        /// The servers, the one used longest ago first.
        var order: [String] = []
    }

    /// One connection's place in a cache: where the sessions go that its server lets it resume.
    final class Slot {
        private let cache: SessionCache
        private let server: String

        init(_ cache: SessionCache, server: String) {
            self.cache = cache
            self.server = server
        }

        /// Keeps a session, whose reference passes to the cache.
        func keep(_ session: OpaquePointer) { unsafe cache.insert(session, for: server) }
    }

    private let entries = Mutex(Entries())

    deinit {
        for address in entries.withLock({ Array($0.sessions.values.joined()) }) { Self.free(address) }
    }

    /// Keeps a session, whose reference passes to the cache. The oldest is dropped when there are too many.
    func insert(_ session: OpaquePointer, for server: String) {
        let address = UInt(bitPattern: session)
        let dropped = entries.withLock { entries -> [UInt] in
            entries.order.removeAll { $0 == server }
            entries.order.append(server)
            var ofServer = entries.sessions[server, default: []]
            ofServer.append(address)
            var dropped: [UInt] = []
            if ofServer.count > TLSDefaults.cachedSessionsPerServer { dropped.append(ofServer.removeFirst()) }
            entries.sessions[server] = ofServer
            if entries.order.count > TLSDefaults.cachedServers {
                dropped += entries.sessions.removeValue(forKey: entries.order.removeFirst()) ?? []
            }
            return dropped
        }
        for address in dropped { Self.free(address) }
    }

    /// Gives the newest session of `server` to a new connection, and forgets it: a ticket that is used once only does
    /// not let an eavesdropper link the connections. Does nothing when there is none.
    func resume(_ server: String, on ssl: OpaquePointer) {
        let address = entries.withLock { entries -> UInt? in
            guard var ofServer = entries.sessions[server] else { return nil }
            let newest = ofServer.popLast()
            entries.sessions[server] = ofServer.isEmpty ? nil : ofServer
            if ofServer.isEmpty { entries.order.removeAll { $0 == server } }
            return newest
        }
        guard let address, let session = unsafe OpaquePointer(bitPattern: address) else { return }
        if unsafe SSL_SESSION_is_resumable(session) == 1 { _ = unsafe SSL_set_session(ssl, session) }
        unsafe SSL_SESSION_free(session)
    }

    private static func free(_ address: UInt) {
        if let session = unsafe OpaquePointer(bitPattern: address) { unsafe SSL_SESSION_free(session) }
    }
}
