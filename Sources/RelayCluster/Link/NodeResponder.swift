// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RelayNode
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol
import WebSocketTransport

/// Finds out what the one request of another node's connection wants, and gives the connection to the handlers of it.
struct NodeResponder: RequestResponder {
    let links: NodeLinks
    let streams: any NodeStreamAcceptor
    let inquiries: InquiryAnswerer
    let lease: UnauthenticatedLease
    let logger: Logger

    /// The handler that reads the request and asks this.
    func reader() -> RequestReader { RequestReader(self, patience: .init(Defaults.Connection.headTimeout)) }

    // No client is refused here: the metrics of those that are do not count nodes.
    func refused(_ refusal: HTTPError) {}

    func failed(_ error: any Error, _ reader: RequestReader) {
        if let error = error as? TLSError, error.isAboutTrust {
            links.refusedCertificate(of: nil, at: reader.channel?.remoteAddress?.ipAddress ?? "unknown", "\(error)")
        }
    }

    func respond(to head: RequestHead, _ reader: RequestReader) {
        do {
            // The certificate has been checked; a name that is no node's makes it one of something else.
            guard let node = reader.peerNames.lazy.compactMap({ NodeID(rawValue: $0) }).first else {
                throw HTTPError(status: .forbidden, code: "not_a_node", message: "the certificate names no node")
            }
            switch try LinkRoute(head) {
            case .link(let handshake):
                guard reader.pending.readableBytes == 0 else {
                    throw HTTPError.malformed("bytes follow the upgrade")
                }
                try upgrade(handshake, reader)
            case .stream: try streams.accept(head, from: node, reader)
            case .inquiry(let inquiry): answer(inquiry, of: node, head, reader)
            }
            lease.identified()
        } catch let refusal as HTTPError {
            reader.end(with: refusal, after: RequestBodyReader(head.framing))
        } catch {
            logger.error("cannot set up a connection of another node", metadata: [LogKeys.error: "\(error)"])
            reader.channel?.close(promise: nil)
        }
    }

    /// Asked by hand, a few times a day: a task costs nothing that matters here.
    private func answer(_ inquiry: String, of node: NodeID, _ head: RequestHead, _ reader: RequestReader) {
        guard let loop = reader.channel?.eventLoop else { return }
        let answer = loop.makeFutureWithTask { [inquiries] in await inquiries(inquiry, node) }
        answer.assumeIsolated().whenSuccess { answer in
            // The other node may have given up by now.
            guard reader.channel != nil else { return }
            let body = RequestBodyReader(head.framing)
            guard let answer else {
                let unknown = HTTPError(
                    status: .notFound, code: "not_found", message: "this node answers no such thing")
                return reader.end(with: unknown, after: body)
            }
            reader.end(with: ResponseHead.complete(.ok, type: "application/json", body: answer), after: body)
        }
    }

    private func upgrade(_ handshake: WebSocketHandshake, _ reader: RequestReader) throws {
        guard let channel = reader.channel else { return }
        var answer = ByteBuffer()
        handshake.writeAnswer(into: &answer)
        channel.writeAndFlush(answer, promise: nil)
        let pipeline = channel.pipeline.syncOperations
        let limits = WebSocketLimits(controlFrames: Defaults.Link.controlFrames)
        try WebSocketPipeline.install(on: pipeline, role: .server, limits: limits, heartbeat: links.heartbeat)
        try pipeline.addHandler(
            InboundLinkHandler(links: links, names: reader.peerNames, connection: links.nextInbound()))
        reader.leave()
    }
}
