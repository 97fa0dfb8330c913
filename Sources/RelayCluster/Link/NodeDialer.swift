// SPDX-License-Identifier: Apache-2.0

import CloseOnExec
import Glibc
import NIOCore
import NIOPosix
import ServerSystem
import TLSTransport
import TransferBroker
import WSProtocol

/// Where a node can be dialled, and which start of it is said to be there. A hint: only its certificate and its answer
/// prove it.
struct NodeAddress: Hashable, Sendable {
    /// A host name or an IP address.
    var host: String
    var port: Int
    var incarnation: Incarnation
}

/// Knows where nodes can be dialled.
protocol NodeAddressBook: Sendable {
    /// The address of a node that is said to be alive; nil when no such node is known. It may take its time: links have
    /// a deadline of their own. On any event loop; never fails.
    func address(of node: NodeID) -> EventLoopFuture<NodeAddress?>
}

/// Makes connections to other nodes, and hands out only those whose certificate names the node that was wanted.
struct NodeDialer: Sendable {
    private let identity: NodeIdentity
    private let timeout: TimeAmount

    /// - Parameter timeout: from the first packet to the end of the handshake.
    init(_ identity: NodeIdentity, timeout: TimeAmount = Defaults.Link.dial) {
        self.identity = identity
        self.timeout = timeout
    }

    /// Dials `node`. TLS sessions with it are resumed when it allows that.
    ///
    /// - Parameter initializer: adds the handlers of a connection that is proven, on its event loop, before anything is
    ///   read.
    /// - Returns: the channel, after the initializer; fails with `NodeDialError` or with what the initializer throws.
    func connect(
        to node: NodeID, at address: NodeAddress, on loop: any EventLoop,
        initializer: @escaping @Sendable (any Channel) throws -> Void
    ) -> EventLoopFuture<any Channel> {
        let proven = loop.makePromise(of: (any Channel).self)
        let deadline = loop.scheduleTask(in: timeout) {
            proven.fail(NodeDialError.unreachable("there was no connection in time"))
        }
        ClientBootstrap(group: loop).acceptedOptions()
            .connectTimeout(timeout)
            .channelInitializer { [tls = identity.client, timeout] channel in
                CloseOnExec.mark(channel)
                return channel.eventLoop.makeCompletedFuture {
                    let handler = TLSHandler(
                        client: tls, serverName: .dns(node.rawValue), port: address.port, handshakeTimeout: timeout)
                    try channel.pipeline.syncOperations.addHandlers([
                        handler, NodeProof(of: node, proven, initializer),
                    ])
                }
            }
            .connect(host: address.host, port: address.port)
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    // The caller may have given up in the meantime.
                    proven.futureResult.whenFailure { _ in channel.close(promise: nil) }
                case .failure(let error): proven.fail(Self.reading(error))
                }
            }
        proven.futureResult.whenComplete { _ in deadline.cancel() }
        return proven.futureResult
    }

    private static func reading(_ error: any Error) -> NodeDialError {
        if let failure = error as? NIOConnectionError, !failure.connectionErrors.isEmpty {
            let isRefused = failure.connectionErrors.allSatisfy { isRefusal($0.error) }
            return isRefused ? .refused : .unreachable("\(failure.connectionErrors.map { "\($0.error)" })")
        }
        return isRefusal(error) ? .refused : .unreachable("\(error)")
    }

    private static func isRefusal(_ error: any Error) -> Bool { (error as? IOError)?.errnoCode == ECONNREFUSED }
}

/// Waits for the end of the handshake, checks the node's name, and removes itself.
private final class NodeProof: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let node: NodeID
    private let proven: EventLoopPromise<any Channel>
    private let initializer: @Sendable (any Channel) throws -> Void

    init(
        of node: NodeID, _ proven: EventLoopPromise<any Channel>,
        _ initializer: @escaping @Sendable (any Channel) throws -> Void
    ) {
        self.node = node
        self.proven = proven
        self.initializer = initializer
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshakeCompleted(let summary)? = event as? TLSEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        // TLS compares names without regard to case, and node ids are told apart by it.
        guard summary.peerNames.contains(node.rawValue) else {
            proven.fail(NodeDialError.untrusted("\(TLSError(.nameMismatch, subject: node.rawValue))"))
            return context.close(promise: nil)
        }
        do {
            try initializer(context.channel)
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
            proven.succeed(context.channel)
        } catch {
            proven.fail(error)
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let failure = error as? TLSError
        if failure?.code == .unknownAuthority {
            proven.fail(NodeDialError.otherAuthority("\(error)"))
        } else {
            proven.fail(failure?.isAboutTrust == true ? NodeDialError.untrusted("\(error)") : .unreachable("\(error)"))
        }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        proven.fail(NodeDialError.unreachable("the other side closed the connection during the TLS handshake"))
        context.fireChannelInactive()
    }
}

extension TLSError {
    /// Whether a certificate, and not the network, is what is wrong.
    var isAboutTrust: Bool {
        [
            .certificateExpired, .certificateNotYetValid, .unknownAuthority, .nameMismatch, .certificateMissing,
            .certificateRejected, .refusedByPeer,
        ].contains(code)
    }
}

/// Why another node could not be dialled.
enum NodeDialError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No process listens there.
    case refused
    /// Not reached in time, or not at all: what the system or TLS says.
    case unreachable(String)
    /// The peer there is not that node, or does not accept this one: what TLS says.
    case untrusted(String)
    /// The peer there has a certificate of an authority that this node does not know: what TLS says.
    case otherAuthority(String)

    /// One line for the log.
    var description: String {
        switch self {
        case .refused: "the port refuses connections"
        case .unreachable(let reason), .untrusted(let reason), .otherAuthority(let reason): reason
        }
    }
}
