// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import NIOCore

/// The part of a client that lives on its event loop.
final class ClientCore {
    private var link: RedisLink?
    /// The handler of the connection that stands, or is about to.
    private var handler: PipelineHandler?
    private var isConnected = false

    init(
        settings: RedisSettings, eventLoop: any EventLoop, log: Logger,
        changed: @escaping @Sendable (RedisLinkState) -> Void
    ) {
        link = RedisLink(
            settings: settings, eventLoop: eventLoop, log: log,
            makeHandler: { [weak self] in
                let handler = PipelineHandler()
                self?.handler = handler
                return handler
            },
            changed: { [weak self] change in
                switch change {
                case .connected(let generation, let version):
                    self?.isConnected = true
                    changed(.connected(generation: generation, version: version))
                case .disconnected(let error):
                    self?.isConnected = false
                    changed(.disconnected(error))
                }
            })
        link?.start()
    }

    func send(_ command: RedisCommand, deadline: NIODeadline, promise: EventLoopPromise<RESPValue>) {
        guard isConnected, let handler else { return promise.fail(RedisError(.unavailable)) }
        handler.send(command, deadline: deadline, promise: promise)
    }

    func stop(_ promise: EventLoopPromise<Void>) {
        isConnected = false
        guard let link else { return promise.succeed() }
        link.stop(promise)
        self.link = nil
    }
}

@available(*, unavailable)
extension ClientCore: Sendable {}
