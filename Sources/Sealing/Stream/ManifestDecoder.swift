// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
package import WSProtocol

/// What a receiver knows of a stream before its first byte.
package struct StreamExpectation: Sendable {
    /// How it has to begin.
    package let form: StreamForm
    package let transfer: CarriedTransfer
    /// Who signs the manifest.
    package let sender: SigningKey
    /// How many entries were announced, if they were.
    package let entries: UInt64?
    /// How many bytes were announced, if they were.
    package let bytes: UInt64?
    /// What was announced besides: the first names at the top, and what it is in a word; nil where nothing was.
    package let summary: OfferSummary?
    /// All names at the top, in the order of a manifest, where the receiver has asked for them; nil where it has not.
    package let names: [EntryName]?
    /// The digest of the manifest, where the receiver has it.
    package let digest: ManifestDigest?

    /// A stream from the beginning, as `offer` announced it.
    package init(of offer: ReceivedOffer) {
        self.init(
            form: .manifest, transfer: offer.transfer, sender: offer.parties.sender.identity,
            entries: offer.summary.entries, bytes: offer.summary.bytes, summary: offer.summary,
            names: offer.asked, digest: nil
        )
    }

    /// A stream that goes on, of a manifest that the receiver has.
    package init(goingOnWith offer: ReceivedOffer, manifest digest: ManifestDigest) {
        self.init(
            form: .digest, transfer: offer.transfer, sender: offer.parties.sender.identity, entries: nil, bytes: nil,
            digest: digest
        )
    }

    init(
        form: StreamForm, transfer: CarriedTransfer, sender: SigningKey, entries: UInt64?, bytes: UInt64?,
        summary: OfferSummary? = nil, names: [EntryName]? = nil, digest: ManifestDigest?
    ) {
        self.summary = summary
        self.names = names
        self.form = form
        self.transfer = transfer
        self.sender = sender
        self.entries = entries
        self.bytes = bytes
        self.digest = digest
    }
}

/// Reads the records of a manifest, and holds them to what was announced; the memory it needs does not grow with them.
struct ManifestDecoder: Sendable {
    /// What a record was.
    enum Record {
        case entry(ManifestEntry)
        case end(ManifestDigest)
    }

    private let expectation: StreamExpectation
    private var order = EntryOrder()
    private var digest = SHA256()
    /// How many entries at the top there were.
    private var tops = 0

    init(_ expectation: StreamExpectation) { self.expectation = expectation }

    /// Which kinds a record may have here.
    static func holds(_ kind: StreamRecordKind) -> Bool {
        switch kind {
        case .folder, .file, .link, .manifestEnd: true
        case .data, .hole, .fileEnd, .unreadable, .padding, .end: false
        }
    }

    /// Takes a whole record.
    mutating func take(_ kind: StreamRecordKind, body: [UInt8]) throws(ManifestFault) -> Record {
        if kind == .manifestEnd { return .end(try end(body)) }
        let entry = try ManifestEntry(kind, body: body, number: order.count)
        try order.add(entry)
        if entry.parent == nil { try checkTop(entry) }
        if let entries = expectation.entries, order.count > entries { throw .tooMany }
        if let announced = expectation.bytes, let bytes = order.bytes, bytes > announced { throw .counts }
        digest.update(data: StreamEncoder.record(kind, body))
        return .entry(entry)
    }

    /// The person was asked about these names, or has asked for them, and nothing else comes.
    private mutating func checkTop(_ entry: ManifestEntry) throws(ManifestFault) {
        defer { tops += 1 }
        if let names = expectation.names {
            guard names.indices.contains(tops), names[tops] == entry.name
            else { throw .announced(entry: order.count - 1, entry.name.bytes) }
        }
        guard let summary = expectation.summary else { return }
        let isNamed = summary.names.indices.contains(tops)
        guard isNamed ? summary.names[tops] == entry.name.text : summary.names.count == SealingDefaults.summaryNames
        else { throw .announced(entry: order.count - 1, entry.name.bytes) }
        let isOfKind =
            switch (summary.kind, entry.kind) {
            case (.file, .file(size: _)), (.stream, .file(size: _)), (.folder, .folder): tops == 0
            case (.several, _): true
            case (.file, _), (.stream, _), (.folder, _): false
            }
        guard isOfKind else { throw .announced(entry: order.count - 1, entry.name.bytes) }
    }

    /// How many entries at the top there have to be.
    private var fewestTops: Int {
        if let names = expectation.names { return names.count }
        guard let summary = expectation.summary else { return 0 }
        return max(summary.names.count, summary.kind == .several ? 0 : 1)
    }

    private func end(_ body: [UInt8]) throws(ManifestFault) -> ManifestDigest {
        let digest = Array(self.digest.finalize())
        guard body.count == KeyDerivation.hashLength + Signing.length,
            body.prefix(SHA256.byteCount).elementsEqual(digest)
        else { throw .digest }
        let signed = ManifestSignature.signed(digest, expectation.transfer)
        guard Signing.verify(Array(body.suffix(Signing.length)), of: signed, by: expectation.sender) else {
            throw .signature
        }
        guard expectation.entries ?? order.count == order.count, tops >= fewestTops,
            expectation.bytes == nil || expectation.bytes == order.bytes
        else { throw .counts }
        return digest
    }
}
