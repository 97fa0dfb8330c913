// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RedisTransport
import TestSupport

extension RedisSettings {
    /// Settings with short pauses. Times that must not pass by accident on a slow machine stay long.
    static func testing(_ url: String) throws -> RedisSettings {
        var settings = try RedisSettings(url: RedisURL(url))
        settings.backOff = RedisBackOff(first: .milliseconds(5), longest: .milliseconds(40))
        settings.connectTimeout = .seconds(10)
        settings.handshakeTimeout = .seconds(10)
        settings.subscribeTimeout = .seconds(10)
        return settings
    }
}

extension RedisServer {
    /// How to reach it, with times that keep tests short.
    func settings(login: String = "", database: Int = 0) throws -> RedisSettings {
        try .testing("redis://\(login)127.0.0.1:\(port)/\(database)")
    }
}
