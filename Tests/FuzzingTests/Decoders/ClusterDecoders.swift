// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore

@testable import RelayCluster
@testable import RelayNode
@testable import TLSTransport
@testable import TransferBroker
@testable import WSProtocol

/// What nodes of a cluster say to each other, over links and through Redis.
enum ClusterDecoders {
    static let link = FuzzedDecoder(
        "node-link", longest: 6_000,
        sources: [
            "RelayCluster/Link/LinkFrame.swift", "RelayCluster/Link/NodeMessage+Coding.swift",
            "RelayCluster/Link/ObjectReader.swift", "RelayCluster/Doorbell/DoorbellMessage.swift",
        ]
    ) { input in
        let text = ByteBuffer(bytes: input)
        if let frame = try? LinkCodec.decode(text) {
            let again = try LinkCodec.encode(frame)
            try hold((try? LinkCodec.decode(again)) == frame, "\(frame) is another one when it is read again")
            if case .message(_, let message) = frame { _ = message.kind }
        }
        if let message = DoorbellMessage(text) {
            let again = message.text.flatMap { DoorbellMessage(ByteBuffer(string: $0)) }
            try hold(again == message, "\(message) is \(String(describing: again)) when it is read again")
        }
    }

    static let records = FuzzedDecoder(
        "cluster-records", longest: 3_000,
        sources: [
            "RelayCluster/Routing/ClusterRoute.swift", "RelayCluster/Routing/NodePresence.swift",
            "RelayCluster/Users/UserRecord.swift", "RelayCluster/Users/UserRecords.swift",
        ]
    ) { input in
        let text = String(decoding: input, as: UTF8.self)
        if let route = RouteValue.Receiving(text) {
            let again = RouteValue.Receiving(route.text)
            try hold(again?.sessions == route.sessions.sorted(), "\(route) is \(String(describing: again)) again")
            try hold(Set(route.sessions).count == route.sessions.count, "\(route) has a session twice")
        }
        if let node = NodeID(rawValue: text), let name = PeerName(rawValue: "bob") {
            let routes: [ClusterRoute] = [
                .receiving(name), .sharing(name), .waiting(name), .transfer(.random()),
                .token(TokenDigest(bytes: [UInt8](repeating: 1, count: 32))),
            ]
            try hold(Set(routes.map { $0.key(on: node) }).count == routes.count, "two routes of one key")
        }
        if let home = RouteValue.Home(text) { try hold(RouteValue.Home(home.text) == home, "\(home) changes") }
        if let read = NodePresence(text) { try present(read) }
        if let user = UserRecord(text) { try hold(UserRecord(user.text) == user, "\(user) changes") }
        try signed(text, input)
    }

    /// A node that is there, and is gone, or has begun again.
    private static func present(_ read: NodePresence) throws {
        try hold(read.text.flatMap(NodePresence.init) == read, "\(read) changes")
        guard let own = NodeID(rawValue: "n1"), let other = NodeID(rawValue: "n2") else { return }
        var again = read
        again.incarnation = .random()
        var table = NodeTable(own: own)
        try hold(table.update([own: again, other: read], isSettled: true).isEmpty, "a node that is gone")
        try hold(table.update([:], isSettled: false).isEmpty && table.nodes == [other: read], "a node is forgotten")
        let gone = NodeTable.Gone(node: other, incarnation: read.incarnation)
        try hold(table.update([other: again], isSettled: true) == [gone], "a node that has not begun again")
        try hold(table.update([:], isSettled: true).count == 1 && table.nodes.isEmpty, "a node that stays")
        _ = NodeAddress(read)
    }

    /// What stands behind a MAC that is good.
    private static func signed(_ text: String, _ input: [UInt8]) throws {
        guard let secret = secret, let name = PeerName(rawValue: "bob"), let other = PeerName(rawValue: "alice"),
            let digest = InvitationCode(rawValue: "code")?.digest
        else { throw Broken(description: "the fixture is not one") }
        let records = UserRecords(secret)
        try hold(
            records.user(name, text) == nil && records.account(of: name, text) == nil, "a MAC was guessed: \(text)")
        try hold(!records.isRemoval(text, of: name), "the MAC of a removal was guessed: \(text)")
        for each in [name, nil] {
            try hold(!records.isInvitation(text, digest, for: each), "the MAC of an invitation was guessed: \(text)")
            // What a node writes, and the same with something behind it, or for another name.
            let made = records.invitation(digest, for: each)
            try hold(records.isInvitation(made, digest, for: each), "an invitation that is none")
            try hold(input.isEmpty || !records.isInvitation(made + text, digest, for: each), "\(made + text) is good")
            try hold(!records.isInvitation(made, digest, for: other), "an invitation for another name")
        }
        for each in [name, other] {
            let removal = records.removal(of: each)
            try hold(records.isRemoval(removal, of: each), "a removal that is none")
            try hold(each == name || !records.isRemoval(removal, of: name), "a removal of another name")
            try hold(records.user(each, removal) == nil, "a removal that is a user")
        }
        if var record = UserRecord(text) {
            let user = record.user(name)
            try hold(records.user(name, records.text(of: user)) == user, "\(user) changes")
            record.mac = nil
            let made = records.text(of: record, under: name)
            if made.utf8.count <= Defaults.Routing.userLength {
                try hold(records.user(name, made) == record.user(name), "\(made) is not what it was made of")
            }
            try hold(records.user(other, made) == nil, "\(made) stands for another name")
        }
        let note = records.note(String(decoding: input, as: UTF8.self), about: digest)
        if note.utf8.count <= Defaults.Routing.userLength {
            try hold(records.note(about: digest, note) == text, "another note than was written")
        }
        try hold(records.account(of: name, note) == nil, "a note that is an account")
        if let account = StrictJSON.decode(UserAccount.self, from: input) {
            let made = records.account(account, of: name)
            if made.utf8.count <= Defaults.Routing.userLength {
                try hold(records.account(of: name, made) == account, "\(made) is not what it was made of")
            }
        }
    }

    private static let secret = ClusterSecret(bytes: [UInt8](repeating: 7, count: 32))

    static let tickets = FuzzedDecoder(
        "tickets", longest: 600,
        sources: [
            "RelayCluster/Tickets/SealedTickets.swift", "RelayCluster/Tickets/TicketDecision.swift",
            "TLSTransport/Tickets/TicketKeyring.swift",
        ]
    ) { input in
        guard let secret else { throw Broken(description: "the fixture is not one") }
        let tickets = SealedTickets(secret)
        try hold(tickets.open(String(decoding: input, as: UTF8.self)) == nil, "a seal was guessed")
        // As a node of the cluster would have sealed it.
        let key = secret.key(for: "relay ticket keys v1")
        let box = try AES.GCM.seal(input, using: key, authenticating: Array("{relay}:tickets".utf8))
        guard let keyring = box.combined.flatMap({ tickets.open(Base64URL.encode($0)) }) else { return }
        try hold(tickets.seal(keyring).flatMap(tickets.open) == keyring, "a keyring that changes")
        try hold((1...3).contains(keyring.keys.count), "\(keyring.keys.count) generations")
        for now: Int64 in [.min, 0, 1_000_000, .max / 2] {
            for stored in [TicketDecision.Stored.nothing, .unreadable, .keyring(keyring)] {
                _ = TicketDecision(stored, current: keyring, now: now)
                _ = TicketDecision(stored, current: nil, now: now)
            }
            _ = keyring.isDue(at: now)
        }
        _ = keyring.key(named: input.prefix(16))
        var next = keyring
        for _ in 0..<3 { next.add(.random(created: 5)) }
        next.rotate(at: 1_000_000) { .random(created: $0) }
        try hold((1...3).contains(next.keys.count) && !"\(next)".contains("name"), "\(next.keys.count) generations")
    }
}
