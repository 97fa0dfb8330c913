// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import TransferBroker
package import WSProtocol

/// What the byte path asks of, and tells to, the service that keeps the transfers.
///
/// Safe to call from any thread. A claim is a future because in a cluster another node may have to be asked.
package protocol TransferDirectory: Sendable {
    /// Uses up `token` for the half `role`, atomically: of any number of callers with one token, exactly one gets the
    /// transfer. Unknown, used, expired and wrong-side tokens all give nil; a wrong-side claim uses nothing up. Fails
    /// with ``ClusterUnavailable`` when the transfer's home cannot be asked.
    func claim(_ token: Token, as role: TransferRole, on loop: any EventLoop) -> EventLoopFuture<StreamClaim?>

    /// Something happened to the stream of a transfer that was claimed.
    func streamChanged(_ stream: StreamKey, _ event: StreamEvent)
}

/// What the service that keeps the transfers asks of the byte path. Safe to call from any thread.
package protocol StreamControl: Sendable {
    /// How many streams there are here.
    var count: Int { get }

    /// Ends whatever halves of `stream` are attached here, telling both ends how the transfer ended. Harmless when
    /// there are none.
    func end(_ stream: StreamKey, _ outcome: TransferOutcome)

    /// Cuts every stream whose home is `home`.
    func abortAll(of home: NodeID, code: FailureCode)
}
