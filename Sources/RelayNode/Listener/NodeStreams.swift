// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import StreamRelay
package import TransferBroker
import WSProtocol

/// Takes in the streams that other nodes bring for downloads held here (`docs/cluster-protocol.md`, section 5).
package struct NodeStreams: NodeStreamAcceptor {
    package let services: ConnectionServices

    package init(services: ConnectionServices) {
        self.services = services
    }

    /// Joins a `PUT /stream` to the download it names: adds the upload's handler, or moves the connection to the event
    /// loop of the download.
    package func accept(_ head: RequestHead, leftover: ByteBuffer, from node: NodeID, on channel: any Channel) throws {
        guard let stream = Self.stream(head) else {
            throw HTTPRefusal.malformed("Relay-Home and Relay-Transfer have to name a stream")
        }
        guard let place = services.streams.place(of: stream) else { throw HTTPRefusal.stream(services.missingStream) }
        let request = UploadRequest(head, leftover: leftover)
        if place.loop.inEventLoop {
            let upload = UploadHandler(request, into: place.stream(), lossMeans: .clusterUnavailable)
            return try channel.pipeline.syncOperations.addHandler(upload)
        }
        // Only connections of clients have a ticket.
        guard ConnectionMove.move(channel, request: request, to: place, ticket: nil, lossMeans: .clusterUnavailable)
        else {
            throw HTTPRefusal.stream(.internalError)
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
