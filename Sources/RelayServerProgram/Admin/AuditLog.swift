// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Logging
import PrivateFiles
import ServerSystem
import Synchronization
import TransferBroker
import WSProtocol

/// Who talks to the admin socket, as the kernel says.
struct AdminPeer: Hashable, Sendable {
    /// Nil when the kernel does not say.
    var user: UInt32?
    var process: Int32?
    /// The node that the command came by, of which the operator is one.
    var node: NodeID?

    static let unknown = AdminPeer()
}

/// What operators did, one JSON object a line, in a file of the state directory that only its owner reads; and in the
/// log. For any thread.
///
/// The file is opened for each line: moving it away begins a new one.
final class AuditLog: Sendable {
    static let name = "audit.log"

    /// One line.
    private struct Line: Encodable {
        let time: String
        let uid: UInt32?
        let pid: Int32?
        let node: String?
        let command: String
        let target: String?
        let details: String?
        let outcome: String
        let exit: Int32
    }

    private let directory: StateDirectory
    private let logger: Logger
    private let writing = Mutex(())

    init(directory: StateDirectory, logger: Logger) {
        self.directory = directory
        self.logger = logger
    }

    /// Writes down how `deed` of `peer` has ended.
    func note(_ deed: AdminDeed, by peer: AdminPeer, _ reply: AdminReply) {
        let (outcome, exit): (String, Int32) =
            switch reply {
            case .failed(let message, let exit): (message, exit)
            case .unanswered(let node, let reason):
                ("node \(node) does not answer: \(reason)", ExitStatus.unavailable.rawValue)
            default: ("done", 0)
            }
        let line = Line(
            time: LogTime.now.description, uid: peer.user, pid: peer.process, node: peer.node?.rawValue,
            command: deed.command,
            target: deed.target, details: deed.details, outcome: outcome, exit: exit
        )
        var metadata: Logger.Metadata = [
            LogKeys.purpose: "\(deed.command)", LogKeys.code: "\(exit)",
        ]
        if let target = deed.target { metadata[LogKeys.name] = "\(target)" }
        if let node = peer.node { metadata[LogKeys.node] = "\(node)" }
        if let user = peer.user { metadata[LogKeys.user] = "\(user)" }
        logger.notice("an operator's command", metadata: metadata)
        do {
            try write(Array((try StrictJSON.encode(line) + "\n").utf8))
        } catch {
            logger.error("the audit log cannot be written", metadata: [LogKeys.error: "\(error)"])
        }
    }

    private func write(_ line: [UInt8]) throws {
        try writing.withLock { _ in
            let flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW
            let file = try SystemError.check { unsafe openat(directory.descriptor, Self.name, flags, AtomicFile.mode) }
            defer { close(file) }
            try unsafe line.withUnsafeBytes { bytes in try unsafe SystemError.writeAll(bytes, to: file) }
        }
    }
}

/// What an operator did, as it is written down: no secret is in it.
struct AdminDeed: Hashable, Sendable {
    var command: String
    var target: String?
    var details: String?
}

extension AdminRequest {
    /// What is written down of it; nil when it changes nothing.
    var deed: AdminDeed? {
        switch self {
        case .status, .top, .users, .user, .nodes, .sessions, .transfers: nil
        case .invite(let name, let lifetime, let note):
            AdminDeed(
                command: "invite", target: name?.rawValue,
                details: "for \(lifetime) s" + (note.map { ": \($0)" } ?? ""))
        case .withdraw: AdminDeed(command: "withdraw")
        case .limit(let name, let changes):
            AdminDeed(
                command: "users limit", target: name.rawValue,
                details: changes.map { "\($0.limit)=\($0.value.map { "\($0)" } ?? "default")" }.joined(separator: " "))
        case .rename(let name, let new):
            AdminDeed(command: "users rename", target: name.rawValue, details: new.rawValue)
        case .disable(let name): AdminDeed(command: "users disable", target: name.rawValue)
        case .enable(let name): AdminDeed(command: "users enable", target: name.rawValue)
        case .remove(let name): AdminDeed(command: "users remove", target: name.rawValue)
        case .close(let session): AdminDeed(command: "sessions close", target: session)
        case .cancel(let transfer): AdminDeed(command: "transfers cancel", target: transfer.rawValue)
        // The first page of them: the registry is being copied.
        case .invitations(let after): after == nil ? AdminDeed(command: "backup") : nil
        case .restore(let part):
            part.isLast ? AdminDeed(command: "restore", details: part.replaces ? "replace" : nil) : nil
        case .reload: AdminDeed(command: "reload")
        case .restart: AdminDeed(command: "restart")
        case .drain: AdminDeed(command: "drain")
        }
    }
}
