// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// The form of a copy of the users' registry: lines of JSON, each with a checksum of what it says, and a last one with
/// a checksum of all before it. Pure.
enum RegistryBackup {
    /// The first line.
    private struct Header: Codable {
        var format = "relay-backup"
        var version = 1
        var made: String
        var users: Int
        var invitations: Int
    }

    private struct UserLine: Codable {
        var user: AccountRecord
        var sha256: String
    }

    private struct InvitationLine: Codable {
        var invitation: Invitation
        var sha256: String
    }

    /// The last line.
    private struct End: Codable {
        var end: Bool
        var sha256: String
    }

    /// The text of `copy`, made at `time`.
    static func text(of copy: RegistryCopy, at time: LogTime) throws -> String {
        let header = Header(made: "\(time)", users: copy.users.count, invitations: copy.invitations.count)
        var text = try line(header)
        for user in copy.users { text += try line(UserLine(user: user, sha256: try checksum(of: user))) }
        for invitation in copy.invitations {
            text += try line(InvitationLine(invitation: invitation, sha256: try checksum(of: invitation)))
        }
        return text + (try line(End(end: true, sha256: checksum(Array(text.utf8)))))
    }

    private static func line(_ value: some Encodable) throws -> String { try StrictJSON.encode(value) + "\n" }

    /// Reads a text; `path` is where it comes from.
    /// - Throws: ``OperatorError``, with the line that is wrong.
    static func read(_ contents: Data, from path: String) throws(OperatorError) -> RegistryCopy {
        func damaged(_ line: Int, _ why: String) -> OperatorError {
            OperatorError(.corrupt, "\(path) is damaged on line \(line): \(why): use another copy")
        }
        var lines = contents.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard let first = lines.first, let header = StrictJSON.decode(Header.self, from: first),
            header.format == "relay-backup"
        else { throw OperatorError(.corrupt, "\(path) is not a copy of a registry: `relay-server backup` makes one") }
        guard header.version == 1 else {
            throw OperatorError(
                .configuration,
                "\(path) has version \(header.version), which this relay-server cannot read: install a newer one")
        }
        guard lines.count >= 3, lines.removeLast().isEmpty, let last = lines.last,
            let end = StrictJSON.decode(End.self, from: last)
        else { throw damaged(lines.count, "the end is missing") }
        var copy = RegistryCopy()
        for (index, line) in lines.enumerated().dropFirst().dropLast() {
            if let record = StrictJSON.decode(UserLine.self, from: line) {
                guard record.sha256 == (try? checksum(of: record.user)) else {
                    throw damaged(index + 1, "its checksum is another one")
                }
                copy.users.append(record.user)
            } else if let record = StrictJSON.decode(InvitationLine.self, from: line) {
                guard record.sha256 == (try? checksum(of: record.invitation)) else {
                    throw damaged(index + 1, "its checksum is another one")
                }
                copy.invitations.append(record.invitation)
            } else {
                throw damaged(index + 1, "it is neither a user nor an invitation")
            }
        }
        guard copy.users.count == header.users, copy.invitations.count == header.invitations,
            Set(copy.users.map(\.name)).count == copy.users.count
        else { throw damaged(1, "there are not as many records as it says") }
        guard end.sha256 == checksum(Array(contents.prefix(contents.count - last.count - 1))) else {
            throw damaged(lines.count, "the checksum of the whole is another one")
        }
        return copy
    }

    private static func checksum(of record: some Encodable) throws -> String {
        checksum(Array(try StrictJSON.encode(record).utf8))
    }

    private static func checksum(_ bytes: [UInt8]) -> String { RegistryCopy.checksum(of: bytes) }
}

extension RegistryFile {
    /// Tells the operator who runs a command that it has put a copy in the place of a damaged registry.
    static func warn(ofRepair problem: String) {
        LogSink.standardError.write(
            "warning: the users' registry was damaged, and the copy before its last change was put in its place; the "
                + "damaged one is \(damagedName): \(TextEscape.escape(problem))\n")
    }
}
