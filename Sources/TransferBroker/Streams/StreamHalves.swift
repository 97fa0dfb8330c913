// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// On which nodes the halves of this home's streams are, as far as their tokens have been claimed.
struct StreamHalves: Sendable {
    /// The halves of one stream.
    struct Halves: Hashable, Sendable {
        fileprivate(set) var download: NodeID?
        fileprivate(set) var upload: NodeID?
        /// The own address for clients of the node that holds the download, if it has one.
        fileprivate(set) var publicURL: PublicURL?

        /// Whether `node` holds either half.
        func has(_ node: NodeID) -> Bool { download == node || upload == node }

        /// Each node that holds a half, once.
        var nodes: [NodeID] { [download, upload == download ? nil : upload].compactMap { $0 } }
    }

    private(set) var streams: [TransferID: Halves] = [:]

    subscript(transfer: TransferID) -> Halves { streams[transfer] ?? Halves() }

    /// The transfers of which `node` holds a half.
    func transfers(on node: NodeID) -> [TransferID] { streams.filter { $0.value.has(node) }.map(\.key) }

    /// `node` has claimed the token of a half, and is about to hold it.
    mutating func claimed(_ transfer: TransferID, _ role: TransferRole, by node: NodeID) {
        switch role {
        case .download: streams[transfer, default: Halves()].download = node
        case .upload: streams[transfer, default: Halves()].upload = node
        }
    }

    /// Clients reach the node that holds the download at `publicURL`.
    mutating func parked(_ transfer: TransferID, at publicURL: PublicURL?) {
        streams[transfer]?.publicURL = publicURL
    }

    /// The transfer is over.
    mutating func forget(_ transfer: TransferID) { streams[transfer] = nil }
}
