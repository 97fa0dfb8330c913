// SPDX-License-Identifier: Apache-2.0

import Glibc
package import NIOCore
package import NIOPosix

/// A bound socket. Connections wait in the kernel's queue until ``accept()``, so that all addresses of a process can be
/// taken before it serves on the first of them.
package struct ListeningSocket: Sendable {
    private let channel: any Channel

    /// The address that is really bound, port included.
    package var address: SocketAddress? { channel.localAddress }

    /// Where a listener's socket comes from.
    package enum Endpoint: Sendable {
        case address(SocketAddress)
        /// Another process has bound it, and it listens. It is closed with the listener.
        case inherited(CInt)
    }

    /// Binds `endpoint` with the options and the pipeline of `bootstrap`.
    /// - Throws: what the system says when the address cannot be bound.
    package static func bind(_ bootstrap: ServerBootstrap, at endpoint: Endpoint) async throws -> ListeningSocket {
        let bootstrap = bootstrap.serverChannelOption(.autoRead, value: false)
        switch endpoint {
        case .address(let address): return ListeningSocket(channel: try await bootstrap.bind(to: address).get())
        case .inherited(let descriptor):
            return ListeningSocket(channel: try await bootstrap.withBoundSocket(descriptor).get())
        }
    }

    /// Accepts connections from now on, those that wait first.
    /// - Throws: `ChannelError` when the socket is closed.
    package func accept() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Leaves connections in the kernel's queue again, until ``accept()``.
    package func pause() async { try? await channel.setOption(.autoRead, value: false).get() }

    /// Another descriptor of the socket, for another process; nil when it is closed. Its receiver closes it.
    package func duplicate() async -> CInt? {
        let channel = channel
        let copy = try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
                fcntl($0, F_DUPFD_CLOEXEC, 0)
            }
        }.get()
        guard let copy = copy ?? nil, copy >= 0 else { return nil }
        return copy
    }

    /// Stops accepting; connections that are there stay. A socket that is closed stays closed.
    package func close() async { try? await channel.close() }
}

extension ListenAddress {
    /// Takes a socket that stands in for this address.
    /// - Throws: ``OperatorError`` when it cannot be used.
    package func adopt(
        _ descriptor: CInt, _ bootstrap: ServerBootstrap
    ) async throws(OperatorError) -> ListeningSocket {
        do {
            return try await ListeningSocket.bind(bootstrap, at: .inherited(descriptor))
        } catch {
            throw OperatorError(.configuration, "the socket that stands in for \(self) cannot be used: \(error)")
        }
    }

    /// Binds this address by `bind`.
    /// - Throws: ``OperatorError`` when the address is not known, or cannot be bound.
    package func bind<Listener: Sendable>(
        _ bind: (SocketAddress) async throws -> Listener
    ) async throws(OperatorError) -> Listener {
        let address = try resolved()
        do {
            return try await bind(address)
        } catch {
            throw failure(error)
        }
    }

    /// Takes the socket of `inherited` that was configured as this address, or else binds the address, by `bind`.
    /// - Throws: ``OperatorError`` when the address is not known, or cannot be bound.
    package func bind<Listener: Sendable>(
        _ purpose: InheritedSockets.Purpose, _ inherited: InheritedSockets,
        _ bind: (ListeningSocket.Endpoint) async throws -> Listener
    ) async throws(OperatorError) -> Listener {
        let endpoint: ListeningSocket.Endpoint =
            if let descriptor = inherited.take(purpose, "\(self)") {
                .inherited(descriptor)
            } else {
                .address(try resolved())
            }
        do {
            return try await bind(endpoint)
        } catch {
            throw failure(error)
        }
    }
}
