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
            let promise = eventLoop.makePromise(of: Result.self)
            // It lives until it has told how it went.
            let finder = RedisFinder(settings: settings, eventLoop: eventLoop)
            let done = { (result: Swift.Result<RedisFinder.Found, any Error>) in
                withExtendedLifetime(finder) {}
                switch result {
                case .success(let found):
                    ConnectionEnd.cut(found.connection.channel)
                    promise.succeed(.connected(found.connection.version))
                case .failure(let refusal as RedisRefusal): promise.succeed(.refused(refusal))
                case .failure(let error):
                    promise.succeed(.unreachable(error as? RedisError ?? RedisError(.unreachable, "\(error)")))
                }
            }
            finder.find({ [] }, done: done)
            return promise.futureResult
        }
    }
}
