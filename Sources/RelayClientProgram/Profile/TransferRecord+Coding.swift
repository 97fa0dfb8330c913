// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Sealing
import WSProtocol

extension TransferRecord {
    /// The members of a record's file. What belongs to one direction alone is missing in the other.
    private struct Fields: Codable {
        var v = 1
        var transfer: CarriedTransfer
        var peer: PeerName
        var identity: SigningKey
        var summary: OfferSummary
        var preserve: Bool
        var since: UInt64
        /// When it was last worked on, in milliseconds since 1970.
        var touched: UInt64
        var paths: [String]?
        var exclude: [String]?
        var manifest: String?
        var state: String?
        var folder: String?
        var fetched: [String]?
    }

    /// The content of its file, of a transfer that was worked on at `touched`; nil when that is too much to keep.
    func encoded(touched: UInt64) -> Data? {
        var fields = Fields(
            transfer: transfer, peer: peer.name, identity: peer.identity, summary: summary, preserve: false,
            since: since, touched: touched
        )
        switch self {
        case .sending(let record):
            fields.preserve = record.keepsMetadata
            (fields.paths, fields.exclude) = (record.paths, record.exclude)
            (fields.manifest, fields.state) = (Base64URL.encode(record.manifest), Base64URL.encode(record.state))
        case .receiving(let record):
            fields.preserve = record.keepsMetadata
            (fields.folder, fields.fetched) = (record.folder, record.fetched)
        }
        guard let json = try? StrictJSON.encode(fields), json.utf8.count < Defaults.maximumRecord else { return nil }
        return Data((json + "\n").utf8)
    }

    /// Reads the content of a file; nil when it is damaged.
    static func decode(_ content: Data) -> (record: TransferRecord, touched: UInt64)? {
        guard let fields = StrictJSON.decode(Fields.self, from: content), fields.v == 1 else { return nil }
        let peer = Party(name: fields.peer, identity: fields.identity)
        if let folder = fields.folder {
            guard folder.hasPrefix("/"), fields.paths == nil else { return nil }
            let record = ReceivedRecord(
                transfer: fields.transfer, sender: peer, folder: folder, summary: fields.summary,
                keepsMetadata: fields.preserve, fetched: fields.fetched, since: fields.since
            )
            return (.receiving(record), fields.touched)
        }
        guard let paths = fields.paths, !paths.isEmpty, paths.allSatisfy({ $0.hasPrefix("/") }),
            let exclude = fields.exclude, let manifest = fields.manifest.flatMap({ Base64URL.decode($0) }),
            manifest.count == SentRecord.manifestLength, let state = fields.state.flatMap({ Base64URL.decode($0) }),
            state.count == SentRecord.stateLength
        else { return nil }
        let record = SentRecord(
            transfer: fields.transfer, receiver: peer, paths: paths, exclude: exclude, keepsMetadata: fields.preserve,
            summary: fields.summary, manifest: manifest, state: state, since: fields.since
        )
        return (.sending(record), fields.touched)
    }
}
