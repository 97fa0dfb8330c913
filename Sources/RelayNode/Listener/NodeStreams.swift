// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
package import StreamRelay
package import TransferBroker
import WSProtocol

/// Takes in the streams that other nodes bring for downloads held here (`docs/cluster-protocol.md`, section 5).
package struct NodeStreams: NodeStreamAcceptor {
    package let services: ConnectionServices

    package init(services: ConnectionServices) {
        self.services = services
    }

    /// Joins a `PUT /stream` to the download it names: gives the connection to the upload's handler, or moves it to the
    /// event loop of the download.
    package func accept(_ head: RequestHead, from node: NodeID, _ reader: RequestReader) throws(HTTPError) {
        guard let stream = Self.stream(head) else {
            throw HTTPError.malformed("Relay-Home and Relay-Transfer have to name a stream")
        }
        services.logger.debug(
            "stream of another node",
            metadata: [LogKeys.transfer: "\(stream.transfer)", LogKeys.node: "\(node)"])
        // Only connections of clients have a lease.
        let joining = UploadPipeline.join(
            UploadRequest(head, leftover: reader.pending), to: stream, heldBy: services.node, at: services.node,
            of: services.streams, lease: nil, lossMeans: .clusterUnavailable, replacing: reader)
        switch joining {
        case .joined: break
        case .failed(let problem): throw HTTPError.stream(problem)
        case .gone, .elsewhere: throw HTTPError.stream(services.missingStream)
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

/// Takes over connections on which another node wants to pass a stream.
package protocol NodeStreamAcceptor: Sendable {
    /// Gives the connection of `reader` to what a stream needs; on its event loop. Nothing has been answered yet.
    ///
    /// - Parameters:
    ///   - head: the request, of `PUT /stream` with a body.
    ///   - node: who is calling, by its certificate.
    /// - Throws: what the other node is answered.
    func accept(_ head: RequestHead, from node: NodeID, _ reader: RequestReader) throws(HTTPError)
}
