// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import TransferBroker
import WSProtocol

/// Makes connections to other nodes. For any thread.
package protocol NodeConnector: Sendable {
    /// A connection to `node` on `loop`, whose certificate has proven that it is that node. `initialize` adds the handlers
    /// behind TLS, on the loop. Fails when there is none within ``Defaults/Stream/nodeTimeout``.
    func connect(
        to node: NodeID, on loop: any EventLoop, initialize: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel>
}
