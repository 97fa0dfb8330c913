// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TransferClient

/// The HTTP/1.1 client codec with this client's limits.
enum HTTPCoding {
    /// A decoder that takes no more than the relay would; for an answer before an upgrade or a tunnel it passes on
    /// what follows.
    static func decoder(forwardsInformational: Bool = false) -> ByteToMessageHandler<HTTPResponseDecoder> {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = Defaults.longestField
        limits.maxHeaderListSize = Defaults.longestHead
        limits.maxHeaderFieldCount = Defaults.mostFields
        return ByteToMessageHandler(
            HTTPResponseDecoder(
                leftOverBytesStrategy: .forwardBytes,
                informationalResponseStrategy: forwardsInformational ? .forward : .drop,
                limitConfiguration: limits
            )
        )
    }

    /// Adds encoder and decoder at the end of the pipeline, in the order that lets the decoder see the requests.
    static func install(on pipeline: ChannelPipeline.SynchronousOperations, forwardsInformational: Bool = false) throws
    {
        try pipeline.addHandler(HTTPRequestEncoder())
        try pipeline.addHandler(decoder(forwardsInformational: forwardsInformational))
    }

    /// The fields of every request to the relay.
    static func headers(for target: RequestTarget) -> HTTPHeaders {
        ["Host": target.endpoint.authority, "User-Agent": ClientAgent.text]
    }
}

/// Reads one whole answer, of which only the first bytes of the body are kept, and hands it to a promise.
final class HTTPResponseHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPResponse>
    private var status: Int?
    private var body = ByteBuffer()

    init(promise: EventLoopPromise<HTTPResponse>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(var part): body.appendAnswer(&part)
        case .end: finish()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if status == nil { promise.fail(error) }
        context.close(promise: nil)
    }

    /// An answer that was cut behind its head has still said what matters.
    private func finish() {
        if let status {
            promise.succeed(HTTPResponse(status: status, body: body))
        } else {
            promise.fail(ChannelError.eof)
        }
    }
}

@available(*, unavailable)
extension HTTPResponseHandler: Sendable {}

extension ByteBuffer {
    /// Appends as much of `part` as the limit for answers allows, and drops the rest.
    mutating func appendAnswer(_ part: inout ByteBuffer) {
        let room = max(0, Defaults.longestAnswer - readableBytes)
        if var kept = part.readSlice(length: min(room, part.readableBytes)) { writeBuffer(&kept) }
    }
}
