// SPDX-License-Identifier: Apache-2.0

import NIOCore

@testable import RedisTransport

extension RedisClient {
    /// As `send`, for those who wait.
    func reply(
        to command: RedisCommand, timeout: TimeAmount = RedisDefaults.commandTimeout
    ) async throws -> RESPValue {
        try await send(command, timeout: timeout).get()
    }
}
