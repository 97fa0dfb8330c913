// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RedisTransport

extension RedisEndpoint {
    /// `host:port`.
    static func test(_ text: String) throws -> RedisEndpoint {
        let parts = text.split(separator: ":")
        return try #require(RedisEndpoint(host: String(parts[0]), port: Int(parts[1]) ?? 0))
    }
}
