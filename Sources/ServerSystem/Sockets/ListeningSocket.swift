// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import NIOPosix

/// A bound socket. Connections wait in the kernel's queue until ``accept()``, so that all addresses of a process can be
/// taken before it serves on the first of them.
package struct ListeningSocket: Sendable {
    private let channel: any Channel

    /// The address that is really bound, port included.
    package var address: SocketAddress? { channel.localAddress }

    /// Binds `address` with the options and the pipeline of `bootstrap`.
    /// - Throws: what the system says when the address cannot be bound.
    package static func bind(_ bootstrap: ServerBootstrap, to address: SocketAddress) async throws -> ListeningSocket {
        let channel = try await bootstrap.serverChannelOption(.autoRead, value: false).bind(to: address).get()
        return ListeningSocket(channel: channel)
    }

    /// Accepts connections from now on, those that wait first.
    /// - Throws: `ChannelError` when the socket is closed.
    package func accept() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Stops accepting; connections that are there stay. A socket that is closed stays closed.
    package func close() async { try? await channel.close() }
}

extension ListenAddress {
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
}
