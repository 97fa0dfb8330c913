// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import ServerSystem
import TLSTransport
import WSProtocol

/// A connection's place in the count of all. It outlives the channel when the connection moves to another event loop.
package protocol CountedConnection: Sendable {
    /// One more channel carries the connection.
    func hold()

    /// A channel that carried the connection has closed.
    func drop()
}

/// Moves an upload's connection, TLS session and all, to the event loop its download lives on.
///
/// The bytes of a stream then never change threads: they are decrypted, passed on and encrypted in one call, and
/// nothing has to be queued, locked or woken. It happens once per transfer, before the first byte of content is taken.
enum ConnectionMove {
    /// Starts the move, if it can be done: returns nil then, and otherwise what that means for the transfer, with the
    /// connection left as it was.
    ///
    /// - Parameters:
    ///   - lease: the connection's place in the count; nil when it is not counted.
    ///   - lossMeans: what it means when the connection breaks without a word.
    static func move(
        _ channel: any Channel, request: UploadRequest, to place: StreamTable.Location,
        lease: (any CountedConnection)?, lossMeans: FailureCode = .senderGone
    ) -> FailureCode? {
        let operations = channel.pipeline.syncOperations
        // What the kernel has not taken would be lost with the old channel. When it has refused a write because the
        // connection has ended, NIO gives out what had come before, and closes only then.
        guard (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 == 0 else {
            let hasEnded = try? operations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self, hasEnded)
            return hasEnded ?? nil ?? false ? lossMeans : .internalError
        }
        let duplicate = try? operations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { socket in
            fcntl(socket, F_DUPFD_CLOEXEC, 0)
        }
        // It needs a second descriptor for a moment.
        guard let descriptor = duplicate ?? nil, descriptor >= 0 else { return .internalError }
        var session: TLSHandover?
        if let tls = try? operations.handler(type: TLSHandler.self) {
            session = try? tls.detach()
            guard session != nil else {
                Glibc.close(descriptor)
                // The connection has ended already.
                return lossMeans
            }
        }
        lease?.hold()
        // The old channel lets go of its descriptor only; the connection lives on through the other one.
        channel.close(promise: nil)
        let loop = place.loop
        // The socket keeps the options that it has.
        ClientBootstrap(group: loop).readAsAccepted()
            .channelInitializer { [session] channel in
                channel.eventLoop.makeCompletedFuture {
                    try UploadPipeline.install(
                        request, into: place.stream(), lossMeans: lossMeans, on: channel, adopting: session)
                }
            }
            .withConnectedSocket(descriptor)
            .whenComplete { result in
                switch result {
                case .success(let channel): channel.closeFuture.whenComplete { _ in lease?.drop() }
                case .failure:
                    // The bootstrap has closed the descriptor.
                    lease?.drop()
                    loop.execute { place.stream().abort(lossMeans) }
                }
            }
        return nil
    }

    /// Whether the other side has reset a connection, or it has broken otherwise.
    private static func hasEnded(_ socket: NIOBSDSocket.Handle) -> Bool {
        var looked = pollfd(fd: socket, events: 0, revents: 0)
        return unsafe poll(&looked, 1, 0) > 0 && looked.revents & Int16(POLLERR | POLLHUP) != 0
    }
}
