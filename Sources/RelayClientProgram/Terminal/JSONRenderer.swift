// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// One JSON object a line on standard output, for programs: as `docs/json-events.md` says, to which the process tests
/// hold every line.
struct JSONRenderer: ReportRenderer {
    private let isVerbose: Bool
    private let usesStandardError: Bool
    private var transfers = ActiveTransfers()
    private var shown: [TransferID: NIODeadline] = [:]

    /// With `usesStandardError`, the objects go there, because standard output is taken by the content.
    init(isVerbose: Bool, usesStandardError: Bool) {
        self.isVerbose = isVerbose
        self.usesStandardError = usesStandardError
    }

    mutating func render(_ report: TransferReport, now: NIODeadline, columns _: Int) -> RenderedText {
        let wasAway = transfers.outage != nil
        let label = transfers.apply(report, now: now)
        if wasAway, case .reconnecting = report { return RenderedText() }
        // What carries the bytes may say so a moment after its transfer is over.
        if label == nil, case .progress = report { return RenderedText() }
        guard isWanted(report, now: now), let line = JSONLine.text(of: Line(report, label)) else {
            return RenderedText()
        }
        let text = line + "\n"
        return usesStandardError ? RenderedText(standardError: text) : RenderedText(standardOutput: text)
    }

    private mutating func isWanted(_ report: TransferReport, now: NIODeadline) -> Bool {
        switch report {
        case .progress(let transfer, _):
            if let last = shown[transfer], now < last + Defaults.jsonProgressInterval { return false }
            shown[transfer] = now
            return true
        case .delivered(let transfer, _, _), .received(let transfer, _, _, _, _), .unchanged(let transfer, _),
            .failed(.some(let transfer), _, _), .restarted(let transfer, _, _):
            shown[transfer] = nil
            return true
        case .introduced: return false
        case .detail: return isVerbose
        case .ready, .sharing, .requested, .refused, .asking, .waiting, .ringing, .offered, .firstContact, .started,
            .resumed, .verifying, .renamed, .checksum, .failed(nil, _, _),
            .interrupted, .kept, .withdrawn, .reconnecting, .reconnected, .unasked, .notice, .warning:
            return true
        }
    }

    /// One object.
    private struct Line: Encodable {
        var event: String
        var transfer: TransferID?
        var direction: String?
        var peer: PeerName?
        var name: String?
        var names: [String]?
        var kind: OfferSummary.Kind?
        var entries: UInt64?
        var size: UInt64?
        var bytes: UInt64?
        var path: String?
        var sha256: String?
        var replaced: UInt64?
        var fingerprint: String?
        var becomes: TransferID?
        var code: String?
        var message: String?
        var seconds: Double?
        var paths: [String]?
        var asks: String?
        var with: [PeerName]?
        var new: Bool?
        var was: String?
        var count: UInt64?

        init(_ report: TransferReport, _ label: TransferLabel?) {
            event = ""
            transfer = label?.transfer
            direction = label?.direction.rawValue
            peer = label?.peer
            size = label?.size
            if let label { fill(label.summary) }
            fill(report)
        }

        private mutating func fill(_ event: String, _ peer: PeerName, _ query: PullQuery) {
            (self.event, self.peer) = (event, peer)
            switch query {
            case .list(let path): (asks, paths) = ("list", [path.description])
            case .fetch(let paths, resuming: _): (asks, self.paths) = ("fetch", paths.map(\.description))
            }
        }

        private mutating func fill(_ summary: OfferSummary) {
            switch summary.kind {
            case .file, .stream: name = summary.names.first ?? ""
            case .folder: (name, kind, entries) = (summary.names.first ?? "", summary.kind, summary.entries)
            case .several: (names, kind, entries) = (summary.names, summary.kind, summary.entries)
            }
        }

        private mutating func fill(_ report: TransferReport) {
            switch report {
            case .ready(let own): (event, name) = ("ready", own.rawValue)
            case .sharing(let own, let names, let peers):
                (event, name, paths, with) = ("sharing", own.rawValue, names, peers.isEmpty ? nil : peers)
            case .requested(let peer, let query): fill("requested", peer, query)
            case .asking(let peer, let query): fill("asking", peer, query)
            case .refused(let peer, let query, let code, let message):
                fill("refused", peer, query)
                (self.code, self.message) = (code, message)
            case .introduced: event = "introduced"
            case .waiting: event = "waiting"
            case .ringing: event = "ringing"
            case .offered: event = "offered"
            case .firstContact(let name, let fingerprint):
                (event, peer, self.fingerprint) = ("first_contact", name, fingerprint.description)
            case .started: event = "started"
            case .resumed(let id, let count): (event, transfer, bytes) = ("resumed", id, count)
            case .progress(let id, let count): (event, transfer, bytes) = ("progress", id, count)
            case .verifying(let id): (event, transfer) = ("verifying", id)
            case .checksum(let id, let file):
                (event, transfer, path, sha256) = ("checksum", id, file.path, file.sha256)
            case .delivered(let id, let count, let hash):
                (event, transfer, bytes, sha256) = ("delivered", id, count, hash)
            case .received(let id, let place, let count, let hash, let replaced):
                (event, transfer, path, bytes, sha256) = ("received", id, place, count, hash)
                self.replaced = replaced > 0 ? replaced : nil
            case .unchanged(let id, let place):
                (event, transfer, path) = (place == nil ? "delivered" : "received", id, place)
                (bytes, new) = (0, false)
            case .renamed(let id, let name, let place): (event, transfer, was, path) = ("renamed", id, name, place)
            case .failed(let id, let code, let message):
                (event, transfer, self.code, self.message) = ("failed", id, code, message)
            case .interrupted(let id, let text): (event, transfer, message) = ("interrupted", id, text)
            case .restarted(let id, let next, let text):
                (event, transfer, becomes, message) = ("restarted", id, next, text)
            case .kept: event = "kept"
            case .withdrawn(let id): (event, transfer) = ("withdrawn", id)
            case .reconnecting(let reason, _, let pause, _):
                (event, message, seconds) = ("reconnecting", reason, Double(pause.nanoseconds / 1_000_000) / 1000)
            case .reconnected: event = "reconnected"
            case .unasked(let number): (event, count) = ("unasked", number)
            case .notice(let text): (event, message) = ("notice", text)
            case .warning(let text): (event, message) = ("warning", text)
            case .detail(let text): (event, message) = ("detail", text)
            }
        }
    }
}

/// An object as one line of JSON, which no terminal can be harmed by.
enum JSONLine {
    /// The version of what programs are promised: rises when a field is taken away or means something else.
    static let schema = 1

    /// `object`, behind the version and with sorted keys, without a line feed; nil when it cannot be encoded or has no
    /// fields.
    static func text(of object: some Encodable) -> String? {
        guard let json = try? StrictJSON.encode(object), json.hasPrefix("{\"") else { return nil }
        return visible("{\"schema\":\(schema)," + json.dropFirst())
    }

    /// `json` with everything that could do something to a terminal written as an escape, which means the same in JSON
    /// (RFC 8259, section 7).
    private static func visible(_ json: String) -> String {
        guard json.unicodeScalars.contains(where: DisplayName.isDangerous) else { return json }
        var text = ""
        for scalar in json.unicodeScalars {
            guard DisplayName.isDangerous(scalar) else {
                text.unicodeScalars.append(scalar)
                continue
            }
            text += scalar.jsonEscape
        }
        return text
    }
}
