// SPDX-License-Identifier: Apache-2.0

import NIOCore
package import TransferBroker

/// The handlers of a receiver's connection after its request's head, in the order in which bytes go out:
///
/// 1. ``DownloadHandler`` frames what the ``Pipe`` brings.
/// 2. `TLSHandler` encrypts. It is there from the accept on.
package enum DownloadPipeline {
    /// On the connection on which `reader` has read the request, and on its event loop.
    ///
    /// - Parameter meters: who counts the content.
    package static func install(
        _ stream: StreamKey, meters: [any StreamMeter] = [], services: StreamServices,
        replacing reader: RequestReader
    ) {
        reader.replace(with: DownloadHandler(stream, meters: meters, services: services))
    }
}

/// The handlers of a connection to the node that holds the download, in the order in which bytes go out:
///
/// 1. ``PeerUploadHandler`` frames what the ``Pipe`` brings, and reads that node's answers.
/// 2. `TLSHandler` encrypts. It is there already, as it has proven which node that is.
enum PeerUploadPipeline {
    /// Behind TLS, on the channel's event loop.
    static func install(_ handler: PeerUploadHandler, on channel: any Channel) throws {
        try channel.pipeline.syncOperations.addHandler(handler)
    }
}
