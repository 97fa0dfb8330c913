// SPDX-License-Identifier: Apache-2.0

package import StreamRelay
package import TransferBroker
import WSProtocol

/// Takes over connections on which another node wants to pass a stream.
package protocol NodeStreamAcceptor: Sendable {
    /// Gives the connection of `reader` to what a stream needs; on its event loop. Nothing has been answered yet.
    ///
    /// - Parameters:
    ///   - head: the request, of `PUT /stream` with a body.
    ///   - node: who is calling, by its certificate.
    /// - Throws: what the other node is answered.
    func accept(_ head: RequestHead, from node: NodeID, _ reader: RequestReader) throws(HTTPError)
}
