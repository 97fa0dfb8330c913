// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import TLSTransport

/// How to reach a Redis, and how long to wait for it. The times can be changed before it is used; they are what
/// `RedisDefaults` says otherwise.
package struct RedisSettings: Sendable {
    /// Where it is, and the login.
    package let url: RedisURL
    /// The login at the Sentinels, where they want one.
    package var sentinelLogin: RedisLogin?
    /// A key of the slot that everything is in: in a Redis Cluster, the server that has it is the one.
    package var key: String?
    /// For `rediss://` and `rediss+sentinel://`: whom to trust.
    let tls: TLSContext?
    /// How long the name look-up and the TCP connection may take.
    package var connectTimeout = RedisDefaults.connectTimeout
    /// How long TLS and the login may take.
    package var handshakeTimeout = RedisDefaults.handshakeTimeout
    /// How long Redis may take to confirm subscriptions.
    package var subscribeTimeout = RedisDefaults.subscribeTimeout
    /// How long a Sentinel may take to answer.
    package var sentinelTimeout = RedisDefaults.sentinelTimeout
    /// How often the Sentinels are asked whether the master is still the same.
    package var sentinelInterval = RedisDefaults.sentinelInterval
    /// The pauses between attempts to connect.
    package var backOff = RedisBackOff()
    /// How long a connection has to stand before the pauses begin anew.
    package var stableAfter = RedisDefaults.stableAfter
    /// When a subscription's heartbeat is sent and due.
    package var heartbeat = HeartbeatTiming()

    /// Settings for `url`.
    ///
    /// - Parameter trust: whose signature on the server's certificate is good enough; for `rediss://` only.
    /// - Throws: `TLSError` when the authorities cannot be read.
    package init(url: RedisURL, trust: TLSTrust = .system) throws(TLSError) {
        self.url = url
        tls = url.isTLS ? try TLSContext.client(trust: trust, applicationProtocols: []) : nil
    }
}

/// When a subscription's heartbeat is sent and due.
package struct HeartbeatTiming: Hashable, Sendable {
    /// From one proof of life to the next attempt at one.
    package var interval = RedisDefaults.heartbeatInterval
    /// How long that may take.
    package var timeout = RedisDefaults.heartbeatTimeout
    /// How long to wait before what could not be published is published again.
    package var retry = RedisDefaults.heartbeatRetry

    /// The times of `RedisDefaults`.
    package init() {}
}
