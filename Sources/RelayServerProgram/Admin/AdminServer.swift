// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Glibc
import NIOCore
import NIOPosix
import PrivateFiles
import ServerSystem
import Synchronization
import TransferBroker

/// The admin socket of a running server.
///
/// A process that can reach the socket may do everything: the state directory's mode is the check.
struct AdminServer: Sendable {
    let socket: ListeningSocket
    private let path: String
    /// Whether the socket's name is another process's: the one that it comes from, until that has left, or the one that
    /// it was handed to.
    private let isOthers: Replaceable<Bool>

    /// Makes the socket in `directory`, in place of one that a killed server left behind.
    /// - Throws: ``OperatorError``.
    static func bind(
        in directory: StateDirectory, group: any EventLoopGroup, responder: AdminResponder,
        accepts: AcceptWatch, inherited: InheritedSockets
    ) async throws(OperatorError) -> AdminServer {
        let path = try AdminSocket.path(in: directory.path)
        let inherited = inherited.take(.admin, AdminSocket.name)
        if inherited == nil { try AdminSocket.clear(path) }
        let connections = ConnectionCount(limit: Defaults.Admin.maximumConnections)
        let bootstrap = ServerBootstrap(group: group).watched(by: accepts)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeCompletedFuture {
                    guard connections.enter() else { throw ChannelError.eof }
                    channel.closeFuture.whenComplete { _ in connections.leave() }
                    try channel.pipeline.syncOperations.addHandler(AdminHandler(responder))
                }
            }
        do {
            do {
                _ = try SocketAddress(unixDomainSocketPath: path)
            } catch SocketAddressError.unixDomainSocketPathTooLong {
                throw OperatorError(
                    .configuration,
                    "the path of the admin socket, \(path), is longer than the 103 bytes that a socket's may have: "
                        + "choose a shorter --state-dir"
                )
            }
            // Not bound by NIO, which would remove the name with the socket, when another process has both.
            let descriptor = try inherited ?? UnixAddress.listen(path, backlog: Defaults.Admin.backlog)
            let socket = try await ListeningSocket.bind(bootstrap, at: .inherited(descriptor))
            return AdminServer(socket: socket, path: path, isOthers: Replaceable(inherited != nil))
        } catch let error as OperatorError {
            throw error
        } catch {
            throw OperatorError(.configuration, "cannot make the admin socket \(path): \(error)")
        }
    }

    /// Answers from now on.
    func start() async throws { try await socket.accept() }

    /// Another process has the socket, and its name.
    func handOver() { isOthers.replace(with: true) }

    /// The process that the socket comes from has left it to this one, with its name.
    func takenOver() { isOthers.replace(with: false) }

    /// Stops accepting and removes the socket, if it is this process's.
    func stop() async {
        if !isOthers.current { unsafe unlink(path) }
        await socket.close()
    }
}

/// Counts what comes and goes, up to a limit. For any thread.
final class ConnectionCount: Sendable {
    private let count = Mutex(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Counts one in; false, and not counted, when the limit is reached.
    func enter() -> Bool {
        count.withLock { count in
            guard count < limit else { return false }
            count += 1
            return true
        }
    }

    /// Counts one out that was counted in.
    func leave() { count.withLock { $0 -= 1 } }
}
