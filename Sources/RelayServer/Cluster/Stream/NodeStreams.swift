// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// Takes in the streams that other nodes bring for downloads held here (`docs/cluster-protocol.md`, section 5).
struct NodeStreams: Sendable {
    let services: ConnectionServices

    /// Joins a `PUT /stream` to the download it names. On the channel's event loop; adds the handler that goes on, which
    /// may be one that refuses, to the end of the pipeline, or moves the connection away.
    ///
    /// - Parameter leftover: what arrived behind the head.
    func accept(_ head: RequestHead, leftover: ByteBuffer, ticket: ConnectionTicket, on channel: any Channel) {
        let request = UploadRequest(head, leftover: leftover)
        guard let stream = Self.stream(head) else {
            return refuse(.malformed("Relay-Home and Relay-Transfer have to name a stream"), request, channel)
        }
        guard let place = services.streams.place(of: stream) else {
            return refuse(.stream(.receiverGone), request, channel)
        }
        if place.loop.inEventLoop {
            add(UploadHandler(request, into: place.stream(), lossMeans: .clusterUnavailable), channel)
        } else if !ConnectionMove.move(
            channel, request: request, to: place, ticket: ticket, lossMeans: .clusterUnavailable
        ) {
            refuse(.stream(.internalError), request, channel)
        }
    }

    private func refuse(_ refusal: HTTPRefusal, _ request: UploadRequest, _ channel: any Channel) {
        var (body, rest) = (request.body, request.leftover)
        while case .content = body.next(&rest) {}
        add(LingerHandler(ResponseHead.refusal(refusal), after: body), channel)
    }

    private func add(_ handler: any ChannelHandler, _ channel: any Channel) {
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            channel.close(promise: nil)
        }
    }

    /// The stream that a request names.
    static func stream(_ head: RequestHead) -> StreamKey? {
        guard let home = head.only("relay-home").flatMap(NodeID.init(rawValue:)),
            let transfer = head.only("relay-transfer").flatMap(TransferID.init(rawValue:))
        else { return nil }
        return StreamKey(home: home, transfer: transfer)
    }
}

extension RequestHead {
    /// The value of a field that may stand there once; nil when it does not, or more often.
    fileprivate func only(_ name: String) -> String? {
        let values = values(of: name)
        return values.count == 1 ? values.first : nil
    }
}
