// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1

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
