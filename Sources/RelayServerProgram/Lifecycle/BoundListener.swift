// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// A socket that accepts connections.
protocol BoundListener: Sendable {
    /// The address that is really bound, port included.
    var address: SocketAddress? { get }
    /// Stops accepting; connections that are there stay.
    func close() async throws
}
