// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// Asks once whether a Redis can be used: for the start of a node, and for checks of its configuration.
package enum RedisProbe {
    /// The outcome.
    package enum Result: Sendable {
        /// It can be used.
        case connected(RedisVersion)
        /// It cannot be reached, or is not ready: that may get better by itself.
        case unreachable(RedisError)
        /// It refuses this node until a configuration is changed.
        case refused(RedisRefusal)
    }

    /// Connects, logs in, and closes the connection again. Takes at most the two times of `settings`.
    package static func run(_ settings: RedisSettings, on eventLoop: any EventLoop) -> EventLoopFuture<Result> {
        eventLoop.flatSubmit {
            RedisDialer(settings: settings, eventLoop: eventLoop, names: NameResolver(eventLoop: eventLoop))
                .connect([], last: LastHandler())
                .map { connection in
                    ConnectionEnd.cut(connection.channel)
                    return Result.connected(connection.version)
                }
                .flatMapErrorThrowing { error in
                    if let refusal = error as? RedisRefusal { return .refused(refusal) }
                    return .unreachable(error as? RedisError ?? RedisError(.unreachable, "\(error)"))
                }
                .nonisolated()
        }
    }
}
