// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TransferClient
import WSProtocol

/// The SHA-256 of a file that was sent or received, for people who want to compare it with one from elsewhere.
/// Transfers do not need it.
struct FileChecksum: Hashable, Sendable {
    /// Where it is in what was sent: the names on the way to it, the first of which is one of the top.
    let path: String
    /// 64 lower-case hex digits.
    let sha256: String
}

/// Something a person or a program that watches should hear about. Each renderer decides how, and whether.
///
/// A transfer is introduced by the first report with its label; the later ones carry its id only. `delivered`,
/// `received`, `unchanged`, `restarted` and `failed` end it.
enum TransferReport: Hashable, Sendable {
    /// This side is logged in under this name and can be offered files.
    case ready(PeerName)
    /// This side is logged in under this name, and shares what has these names with others, or only with those.
    case sharing(PeerName, names: [String], with: [PeerName])
    /// A requester asks for what is shared.
    case requested(PeerName, PullQuery)
    /// And does not get it: as with `failed`.
    case refused(PeerName, PullQuery, code: String, message: String)
    /// This side asks a sharer.
    case asking(PeerName, PullQuery)
    /// Nothing to show yet: whatever is said about this transfer next, even that it has failed, names its file and
    /// peer.
    case introduced(TransferLabel)
    /// No user of that name is receiving; the offer waits.
    case waiting(TransferLabel)
    /// The other side's client is asking its person.
    case ringing(TransferLabel)
    /// The other side offers a file.
    case offered(TransferLabel)
    /// There is contact with that name for the first time, and its identity, of this fingerprint, is pinned.
    case firstContact(PeerName, Fingerprint)
    /// The bytes begin to flow.
    case started(TransferLabel)
    /// They begin where an earlier attempt came to: so many bytes of content are through already.
    case resumed(TransferID, bytes: UInt64)
    /// So many bytes of content are through in all.
    case progress(TransferID, bytes: UInt64)
    /// All bytes are there; they are being checked and stored.
    case verifying(TransferID)
    /// The receiver has confirmed that it verified and stored everything: `bytes` of content with this SHA-256.
    case delivered(TransferID, bytes: UInt64, sha256: String?)
    /// The SHA-256 of one of its files, of which there are several, by its path in what was sent.
    case checksum(TransferID, FileChecksum)
    /// Everything is verified and stored here, at `path` (`-`: standard output), in the place of so many files or
    /// links that were there.
    case received(TransferID, path: String, bytes: UInt64, sha256: String?, replaced: UInt64 = 0)
    /// In place of `delivered` and `received`: every file of it was there already; at the receiver, in the folder
    /// `path`.
    case unchanged(TransferID, path: String?)
    /// One of several that are received, which was sent under the name `was`, has another one here.
    case renamed(TransferID, was: String, path: String)
    /// It has failed; nil where it is not about one transfer. `code` is of the wire's table or this program's own,
    /// `message` says in one line what happened and what to do.
    case failed(TransferID?, code: String, message: String)
    /// It broke for a reason that may pass: it goes on when the sender offers it again, and fails otherwise.
    case interrupted(TransferID, message: String)
    /// What is sent was changed meanwhile: this transfer is over, and all of it is sent again as another one, whose id
    /// the sender knows.
    case restarted(TransferID, as: TransferID?, message: String)
    /// It is over for now, and what came of it is kept for a later attempt.
    case kept(TransferLabel, KeptContent = .received)
    /// The offer was withdrawn before a receiver accepted it, for a reason that may pass.
    case withdrawn(TransferID)
    /// The relay was lost, or cannot do what it was asked: try number `attempt`, from 1, is after `pause`. Where that
    /// is asked for `transfer` alone, the end of that transfer is the end of trying too.
    case reconnecting(reason: String, attempt: Int, pause: TimeAmount, transfer: TransferID? = nil)
    /// The relay was found again, or does it now.
    case reconnected
    /// So many offers were refused because this side had not asked for them.
    case unasked(UInt64)
    /// Anything else worth a line.
    case notice(String)
    /// Something that is not right, though nothing has failed.
    case warning(String)
    /// For `--verbose` only.
    case detail(String)
}

/// What is kept of a transfer that is over for now, and what it takes to go on.
enum KeptContent: Hashable, Sendable {
    /// What came of it.
    case received
    /// What came of it, if anything did: the receiver could not store it.
    case unstored
    /// What came of what this side has asked for.
    case fetched
}

/// Reports as messages for people: one line each, fit for a terminal.
enum ReportText {
    /// How a line is meant.
    enum Tone: Hashable, Sendable {
        case plain
        case good
        case bad
    }

    /// The line for `report` about the transfer `label`; nil where there is no message of its own.
    static func message(for report: TransferReport, label: TransferLabel?) -> String? {
        switch report {
        case .ready(let name): "ready to receive as \(name)"
        case .sharing(let name, let names, let peers):
            "sharing \(TransferText.list(names)) as \(name)"
                + (peers.isEmpty ? "" : " with \(TransferText.names(peers))")
        case .requested(let peer, let query): "\(peer) asks for \(TransferText.asked(query))"
        case .refused(let peer, let query, _, let message):
            "\(peer) does not get \(TransferText.asked(query)): " + DisplayName.line(message)
        case .asking(let peer, let query): "asking \(peer) for \(TransferText.asked(query))"
        case .introduced: nil
        case .waiting(let label): "\(label.peer) is not receiving now; waiting to send \(TransferText.what(label))"
        case .ringing(let label): "ringing \(label.peer) for \(TransferText.what(label))"
        case .offered(let label): TransferText.offer(label)
        case .firstContact(let peer, let fingerprint): firstContact(peer, fingerprint)
        case .started(let label): way(label) + " " + TransferText.what(label)
        case .resumed(_, let bytes): label.map { resumed($0, bytes) }
        case .progress: nil
        case .verifying: label.map(verifying)
        case .delivered(_, let bytes, let sha256):
            label.map { "delivered \(TransferText.what($0, bytes)) to \($0.peer)" + checksum(sha256) }
        case .received(_, let path, let bytes, let sha256, let replaced):
            label.map { received($0, path, bytes, replaced) + checksum(sha256) }
        case .unchanged(_, let path): label.map { unchanged($0, path) }
        case .renamed(_, let name, let path):
            "\"\(DisplayName.escape(name))\" is stored as \"\(DisplayName.path(path))\""
        case .checksum(_, let file): "SHA-256 \(file.sha256) \(DisplayName.path(file.path))"
        case .failed(_, _, let message): failed(label, message)
        case .interrupted(_, let message), .restarted(_, _, let message):
            label.map { "\(TransferText.quoted($0)): " + DisplayName.line(message) }
        case .kept(let label, let content): kept(label, content)
        case .withdrawn:
            label.map { "the offer of \(TransferText.what($0)) from \($0.peer) is gone; it may come again" }
        case .reconnecting(let reason, _, _, _): "reconnecting: \(DisplayName.line(reason))"
        case .reconnected: "reconnected"
        case .unasked(let count):
            "warning: \(count == 1 ? "an offer was" : "\(TransferText.count(count)) offers were") refused that no command here "
                + "had asked for"
        case .notice(let text), .detail(let text): DisplayName.line(text)
        case .warning(let text): "warning: " + DisplayName.line(text)
        }
    }

    /// Whether `report` is good news, bad news or neither.
    static func tone(of report: TransferReport) -> Tone {
        switch report {
        case .delivered, .received, .unchanged: .good
        case .failed, .warning, .refused, .unasked: .bad
        case .ready, .sharing, .requested, .asking, .introduced, .waiting, .ringing, .offered, .firstContact, .started,
            .resumed, .progress, .verifying, .renamed, .checksum, .interrupted, .restarted, .kept, .withdrawn,
            .reconnecting, .reconnected, .notice, .detail:
            .plain
        }
    }

    /// `first contact with bob, fingerprint 4q7xm-0c2ke-…; compare it with: relay-client peers verify bob`
    private static func firstContact(_ peer: PeerName, _ fingerprint: Fingerprint) -> String {
        "first contact with \(peer), fingerprint \(fingerprint); compare it with: relay-client peers verify \(peer)"
    }

    /// Behind a line about one file, with `--checksum`.
    private static func checksum(_ sha256: String?) -> String { sha256.map { ", SHA-256 \($0)" } ?? "" }

    private static func resumed(_ label: TransferLabel, _ bytes: UInt64) -> String {
        let total = label.size.map { " of \(ByteFormat.string($0))" } ?? ""
        return "going on with \(TransferText.quoted(label)) at \(ByteFormat.string(bytes))\(total)"
    }

    private static func kept(_ label: TransferLabel, _ content: KeptContent) -> String {
        let (what, peer) = (TransferText.quoted(label), label.peer)
        let resume = "relay-client transfers resume \(TransferText.shortID(label.transfer.rawValue))"
        switch (label.direction, content) {
        case (.send, .unstored): return "to go on with \(what) once \(peer) can store it: \(resume)"
        case (.send, _): return "\(peer) keeps what came of \(what); to go on: \(resume)"
        case (.receive, .fetched):
            return "kept what came of \(what); it goes on with the same fetch, or with: \(resume)"
        case (.receive, _):
            return "kept what came of \(what); it goes on when \(peer) sends it again and receive runs, "
                + "for example with: \(resume)"
        }
    }

    private static func unchanged(_ label: TransferLabel, _ path: String?) -> String {
        let what = TransferText.what(label)
        guard let path else { return "nothing new for \(label.peer): every file of \(what) was there already" }
        return "nothing new from \(label.peer): every file of \(what) is in \"\(DisplayName.path(path))\" already"
    }

    private static func way(_ label: TransferLabel) -> String {
        switch label.direction {
        case .send: "\(label.peer) accepted; sending"
        case .receive: "receiving from \(label.peer)"
        }
    }

    private static func verifying(_ label: TransferLabel) -> String {
        switch label.direction {
        case .send: "\(label.peer) is verifying \(TransferText.quoted(label))"
        case .receive: "verifying \(TransferText.quoted(label))"
        }
    }

    private static func received(_ label: TransferLabel, _ path: String, _ bytes: UInt64, _ replaced: UInt64) -> String
    {
        let message = "received \(TransferText.what(label, bytes)) from \(label.peer)"
        guard path != "-" else { return message }
        return message + " as \"\(DisplayName.path(path))\"" + self.replaced(label, replaced)
    }

    /// What has been replaced by what was received.
    private static func replaced(_ label: TransferLabel, _ count: UInt64) -> String {
        switch (count, label.summary.kind) {
        case (0, _): ""
        case (_, .file), (_, .stream): ", in the place of the one that was there"
        case (1, _): ", in which 1 file was replaced"
        case (_, .folder), (_, .several): ", in which \(count) files were replaced"
        }
    }

    private static func failed(_ label: TransferLabel?, _ message: String) -> String {
        guard let label else { return "error: " + DisplayName.line(message) }
        switch label.direction {
        case .send: return "not delivered: \(TransferText.quoted(label)) to \(label.peer): " + DisplayName.line(message)
        case .receive:
            return "not received: \(TransferText.quoted(label)) from \(label.peer): " + DisplayName.line(message)
        }
    }
}
