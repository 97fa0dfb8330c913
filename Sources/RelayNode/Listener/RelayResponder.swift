// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import StreamRelay
import TLSTransport
import TransferBroker
import WSProtocol

/// Finds out what the one request of a client's connection wants, and gives the connection to the handler of it.
struct RelayResponder: RequestResponder, Sendable {
    let services: ConnectionServices
    let connection: AcceptedConnection
    let purpose: ListenerPurpose

    /// The handler that reads the request and asks this.
    func reader() -> RequestReader {
        let seconds = Defaults.Connection.headTimeout.nanoseconds / 1_000_000_000
        let late = HTTPError(
            status: .requestTimeout, code: "request_timeout",
            message: "the request's head took longer than \(seconds) s"
        )
        return RequestReader(self, patience: .init(Defaults.Connection.headTimeout, late: late))
    }

    func refused(_ refusal: HTTPError) { services.reports.refused(refusal.status) }

    func failed(_ error: any Error, _ reader: RequestReader) {
        services.logger.debug("connection failed", metadata: [LogKeys.error: "\(error)"])
    }

    func respond(to head: RequestHead, _ reader: RequestReader) {
        let body = RequestBodyReader(head.framing)
        do throws(HTTPError) {
            if try challenge(head, body, reader) { return }
            if let redirection = purpose.redirection(for: head) { throw redirection }
            let route = try Route(head)
            if route != .health, connection.isRefused { throw .full }
            let remote = reader.channel?.remoteAddress
            if services.peers.origin(for: remote) == .field {
                guard connection.lease.belongs(to: TrustedPeers.client(of: head) ?? remote) else { throw .full }
            }
            switch route {
            case .health:
                let answer = ResponseHead.complete(
                    .ok, type: "text/plain", body: "ok\n", withBody: head.method != "HEAD"
                )
                reader.end(with: answer, after: body)
            case .page: try page(head, body, reader)
            case .control(let handshake):
                guard !services.admission.refusesSessions else { throw .draining }
                guard reader.pending.readableBytes == 0 else { throw .malformed("bytes follow the upgrade request") }
                upgrade(handshake, reader)
            case .download(let token):
                claim(token, as: .download, body, reader) { claim, reader in
                    let meters = services.traffic.meters(of: claim.owners)
                    DownloadPipeline.install(
                        claim.stream, meters: meters, services: services.stream, replacing: reader)
                }
            case .upload(let token):
                claim(token, as: .upload, body, reader) { claim, reader in place(head, by: claim, reader) }
            }
        } catch {
            // A HEAD's answer has no body (RFC 9110, section 9.3.2).
            reader.end(with: error, after: body, withBody: head.method != "HEAD")
        }
    }

    private func upgrade(_ handshake: WebSocketHandshake, _ reader: RequestReader) {
        guard let channel = reader.channel else { return }
        // Control connections are idle nearly always, and there are many of them. A channel without TLS has no handler.
        (try? channel.pipeline.syncOperations.handler(type: TLSHandler.self))?.releaseBuffersWhenIdle()
        var answer = ByteBuffer()
        handshake.writeAnswer(into: &answer)
        channel.writeAndFlush(answer, promise: nil)
        do {
            try services.control.install(
                on: channel, audience: handshake.audience, client: connection.lease.address,
                loggedIn: { [connection] in connection.lease.identified() }
            )
            reader.leave()
        } catch {
            services.logger.error("cannot set up a control connection", metadata: [LogKeys.error: "\(error)"])
            channel.close(promise: nil)
        }
    }

    private func claim(
        _ token: Token, as role: TransferRole, _ body: RequestBodyReader, _ reader: RequestReader,
        then proceed: @escaping (StreamClaim, RequestReader) -> Void
    ) {
        guard let loop = reader.channel?.eventLoop else { return }
        services.transfers.claim(token, as: role, on: loop).assumeIsolated().whenComplete { result in
            guard reader.channel != nil else {
                if case .success(let claim?) = result { abandon(claim.stream, role) }
                return
            }
            switch result {
            case .success(let claim?):
                connection.lease.identified()
                proceed(claim, reader)
            case .success(nil): reader.end(with: TokenField.refused, after: body)
            case .failure(let error):
                reader.end(with: .stream((error as? ClusterUnavailable)?.code ?? .unavailable), after: body)
            }
        }
    }

    /// The client left while its token was being claimed.
    private func abandon(_ stream: StreamKey, _ role: TransferRole) {
        let code: FailureCode = role == .download ? .receiverGone : .senderGone
        services.streams.end(stream, .failed(code))
        services.transfers.streamChanged(stream, .cut(code, bytes: 0))
    }

    /// Brings the upload to its download.
    private func place(_ head: RequestHead, by claim: StreamClaim, _ reader: RequestReader) {
        log(claim)
        let request = UploadRequest(head, leftover: reader.pending)
        let joining = UploadPipeline.join(
            request, to: claim.stream, heldBy: claim.download, at: services.node, of: services.streams,
            lease: connection.lease, lossMeans: .senderGone, replacing: reader)
        switch joining {
        case .joined: break
        case .failed(let problem):
            if services.admission.isShortOfDescriptors { services.accepts.ranShort() }
            services.streams.end(claim.stream, .failed(problem))
            reader.end(with: .stream(problem), after: request.body)
        case .elsewhere(let node): hop(to: node, request, claim.stream, reader)
        case .gone: cut(claim.stream, services.missingStream, request.body, reader)
        }
    }

    private func log(_ claim: StreamClaim) {
        guard services.logger.logLevel <= .debug else { return }
        var details: Logger.Metadata = [LogKeys.transfer: "\(claim.stream.transfer)"]
        if claim.download != services.node { details[LogKeys.node] = "\(claim.download)" }
        services.logger.debug("upload", metadata: details)
    }

    /// The receiver's half is on another node: the stream goes on to it.
    private func hop(to node: NodeID, _ request: UploadRequest, _ stream: StreamKey, _ reader: RequestReader) {
        guard let loop = reader.channel?.eventLoop, let connector = services.connector else {
            return cut(stream, .clusterUnavailable, request.body, reader)
        }
        PeerUploadHandler.open(stream, on: node, length: request.length, loop: loop, connector: connector)
            .whenComplete { result in
                switch result {
                case .success(let handler):
                    guard reader.channel != nil else {
                        handler.cut(.senderGone)
                        return abandon(stream, .upload)
                    }
                    let pipe = handler.park(services.stream, on: loop)
                    UploadPipeline.install(request, into: pipe, replacing: reader)
                case .failure(let error):
                    let code = (error as? StreamHopRefused)?.code ?? .clusterUnavailable
                    cut(stream, code, request.body, reader)
                }
            }
    }

    /// There is no way to the download: the transfer and the sender hear so.
    private func cut(_ stream: StreamKey, _ code: FailureCode, _ body: RequestBodyReader, _ reader: RequestReader) {
        services.transfers.streamChanged(stream, .cut(code, bytes: 0))
        guard reader.channel != nil else { return }
        reader.end(with: .stream(code), after: body)
    }
}
