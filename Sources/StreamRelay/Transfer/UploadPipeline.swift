// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TLSTransport
package import TransferBroker
package import WSProtocol

/// The handlers of a sender's connection after its request's head, in the order in which bytes come in:
///
/// 1. ``HalfCloseReadGate`` reads no more than is asked for, also from a sender that has finished.
/// 2. `TLSHandler` decrypts. It is there from the accept on, or comes along when the connection moves.
/// 3. ``UploadHandler`` takes the content out of the body and gives it to the ``Pipe``.
/// 4. ``LingerHandler`` takes its place when the answer is sent.
///
/// A node that brings a stream of another node's sender has the same.
package enum UploadPipeline {
    /// What became of an upload that was brought to its download.
    package enum Joining: Hashable, Sendable {
        /// Its handlers have it, or will as soon as its connection has moved.
        case joined
        /// Its download is on another node.
        case elsewhere(NodeID)
        /// Its download was here, and is not any more.
        case gone
        /// Its connection cannot be moved to the download; what that means for the transfer.
        case failed(FailureCode)
    }

    /// Brings the upload of `stream`, of which `reader` has read the request, to its download: gives the connection to
    /// the upload's handlers, or moves it to the event loop of the download. On the connection's event loop.
    ///
    /// - Parameters:
    ///   - holder: the node that holds the download.
    ///   - node: this node.
    ///   - lease: the connection's place in the count; nil when it is not counted.
    ///   - lossMeans: what it means when the connection breaks without a word.
    package static func join(
        _ request: UploadRequest, to stream: StreamKey, heldBy holder: NodeID, at node: NodeID,
        of streams: StreamTable, lease: (any CountedConnection)?, lossMeans: FailureCode,
        replacing reader: RequestReader
    ) -> Joining {
        guard let channel = reader.channel else { return .joined }
        let download = streams.place(of: stream)
        let placement = Placement(
            holder: holder, node: node, download: download?.loop, upload: channel.eventLoop)
        switch (placement, download) {
        case (.local, let download?):
            install(request, into: download.stream(), lossMeans: lossMeans, replacing: reader)
            return .joined
        case (.move, let download?):
            let problem = ConnectionMove.move(
                channel, request: request, to: download, lease: lease, lossMeans: lossMeans)
            return problem.map { .failed($0) } ?? .joined
        case (.hop(let node), _): return .elsewhere(node)
        case (.gone, _), (.local, nil), (.move, nil): return .gone
        }
    }

    /// On the connection on which `reader` has read the request, and on its event loop.
    ///
    /// - Parameter lossMeans: what it means when the connection breaks without a word.
    package static func install(
        _ request: UploadRequest, into pipe: Pipe, lossMeans: FailureCode = .senderGone,
        replacing reader: RequestReader
    ) {
        guard let channel = reader.channel else { return }
        var request = request
        request.leftover = reader.pending
        try? channel.pipeline.syncOperations.addHandler(HalfCloseReadGate(), position: .first)
        reader.replace(with: UploadHandler(request, into: pipe, lossMeans: lossMeans))
    }

    /// On a new channel of a connection that has moved to the event loop of its download.
    static func install(
        _ request: UploadRequest, into pipe: Pipe, lossMeans: FailureCode, on channel: any Channel,
        adopting session: TLSHandover?
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(HalfCloseReadGate())
        if let session { try pipeline.addHandler(TLSHandler(adopting: session)) }
        try pipeline.addHandler(UploadHandler(request, into: pipe, lossMeans: lossMeans))
    }

    /// Sends the last answer; what is left of `body` is read and dropped.
    static func end(
        _ handler: UploadHandler, on channel: any Channel, with answer: ByteBuffer, after body: RequestBodyReader?
    ) {
        let pipeline = channel.pipeline.syncOperations
        do {
            try pipeline.addHandler(LingerHandler(answer, after: body), position: .after(handler))
            pipeline.removeHandler(handler, promise: nil)
        } catch {
            channel.close(promise: nil)
        }
    }
}
