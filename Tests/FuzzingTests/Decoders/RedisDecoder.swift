// SPDX-License-Identifier: Apache-2.0

import NIOCore

@testable import RedisTransport
@testable import RelayCluster
@testable import TransferBroker
@testable import WSProtocol

/// What Redis says: the bytes, and everything that reads the replies.
enum RedisDecoder {
    static let replies = FuzzedDecoder(
        "resp", longest: 5_000, of: .lines,
        sources: [
            "RedisTransport/Codec/ReplyReader.swift", "RedisTransport/Codec/ReplyScanner.swift",
            "RedisTransport/Codec/RESPValue.swift", "RedisTransport/Connection/ClusterMap.swift",
            "RedisTransport/Connection/HandshakeMachine.swift", "RedisTransport/Connection/SentinelMachine.swift",
            "RedisTransport/Connection/RedisEndpoint.swift", "RedisTransport/Connection/RedisVersion.swift",
            "RedisTransport/Subscription/SubscriptionMachine.swift", "RelayCluster/Routing/RoutingReplies.swift",
        ]
    ) { input in
        let whole = read([ByteBuffer(bytes: input)])
        for way in Pieces.ways(input) {
            let pieces = read(way)
            // At once, the scanner has gone over everything before the first reply is taken out.
            try hold(pieces.isOver == whole.isOver, "\(whole) at once, and \(pieces) in pieces")
            try hold(whole.isOver || pieces.replies == whole.replies, "\(whole) at once, and \(pieces) in pieces")
        }
        let replies = read(Pieces.ways(input)[1]).replies
        for reply in replies {
            let again = read([bytes(of: reply)])
            try hold(again.replies == [reply] && !again.isOver, "\(reply) is \(again) when it is sent again")
            use(reply)
        }
        try logIn(replies)
    }

    /// What is read of bytes before they are at fault.
    static func replies(in bytes: [UInt8]) -> [RESPValue] { read([ByteBuffer(bytes: bytes)]).replies }

    private struct Read: Equatable {
        var replies: [RESPValue] = []
        var isOver = false
    }

    private static func read(_ pieces: [ByteBuffer]) -> Read {
        let reader = ReplyReader()
        var read = Read()
        do {
            for piece in pieces {
                try reader.feed(piece)
                while let reply = try reader.next() { read.replies.append(reply) }
            }
        } catch {
            read.isOver = true
        }
        return read
    }

    private static func bytes(of reply: RESPValue) -> ByteBuffer {
        var bytes = ByteBuffer()
        func write(_ value: RESPValue) {
            switch value {
            case .simple(let text): bytes.writeString("+\(text)\r\n")
            case .error(let text): bytes.writeString("-\(text)\r\n")
            case .integer(let number): bytes.writeString(":\(number)\r\n")
            case .bulk(let content):
                bytes.writeString("$\(content.readableBytes)\r\n")
                bytes.writeImmutableBuffer(content)
                bytes.writeString("\r\n")
            case .array(let values):
                bytes.writeString("*\(values.count)\r\n")
                for value in values { write(value) }
            case .null: bytes.writeString("$-1\r\n")
            }
        }
        write(reply)
        return bytes
    }

    /// Everything that reads one reply by itself.
    private static func use(_ reply: RESPValue) {
        _ = (reply.text, reply.number, reply.bytes)
        let server = RedisEndpoint(host: "redis", port: 6_379)
        _ = ClusterMap.nodes(reply, by: server)
        if case .error(let text) = reply, let server {
            _ = RedisEndpoint(moved: text, by: server).map { "\($0)" }
        }
        if let text = reply.text {
            _ = RedisVersion(info: text).map { "\($0)" }
            if let server { _ = RedisEndpoint(moved: text, by: server) }
        }
        guard let own = NodeID(rawValue: "n1") else { return }
        if var lookup = RoutingReplies.Lookup(reply) {
            _ = lookup.receivers(own: own)
            _ = lookup.homes(own: own)
        }
        _ = RoutingReplies.Nodes(reply)
        _ = RoutingReplies.Home(reply)
        _ = RoutingReplies.Address(reply)
        _ = PresenceOutcome(reply)
    }

    private static let urls = Result {
        try [
            "redis://h", "redis://u:p@h/1", "redis://:p@h,i", "redis+sentinel://h/m", "redis+sentinel://:p@h/m/2",
        ].map { try RedisURL($0) }
    }

    /// Logins of all kinds, to which these are the answers.
    private static func logIn(_ replies: [RESPValue]) throws {
        for url in try urls.get() {
            let server = RedisEndpoint(host: "h", port: 6_379)
            for key in [nil, "{relay}:key"] {
                var machine = HandshakeMachine(url: url, server: server, key: key)
                _ = machine.connected()
                for reply in replies { _ = machine.replyReceived(reply) }
                _ = machine.closed()
                _ = machine.timedOut()
                var early = HandshakeMachine(url: url)
                for reply in replies { _ = early.replyReceived(reply) }
                _ = early.timedOut()
            }
        }
        for login in [nil, try RedisLogin("u:p")] {
            var machine = SentinelMachine(master: "m", login: login)
            if replies.count > 1 { _ = machine.connected() }
            for reply in replies { _ = machine.replyReceived(reply) }
            _ = machine.ended(RedisError(.unreachable))
        }
        for isCluster in [false, true] {
            var machine = SubscriptionMachine(channels: ["a", "b"])
            if replies.count > 1 { _ = machine.connected(isCluster: isCluster) }
            for reply in replies { _ = machine.replyReceived(reply) }
            _ = machine.timedOut()
        }
    }
}
