// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import StreamRelay
package import TransferBroker
import WSProtocol

/// Takes over connections on which another node wants to pass a stream.
package protocol NodeStreamAcceptor: Sendable {
    /// Adds what a stream needs to the end of `channel`'s pipeline, right behind TLS; on the channel's event loop. Nothing
    /// has been answered yet. The handler that calls this removes itself afterwards.
    ///
    /// - Parameters:
    ///   - head: the request, of `PUT /stream` with a body.
    ///   - leftover: what has come of the body.
    ///   - node: who is calling, by its certificate.
    /// - Throws: `HTTPRefusal`, which is answered; anything else closes the connection.
    func accept(_ head: RequestHead, leftover: ByteBuffer, from node: NodeID, on channel: any Channel) throws
}
