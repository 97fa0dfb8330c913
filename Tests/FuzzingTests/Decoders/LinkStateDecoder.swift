// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import TLSTransport
import TestSupport
import WSProtocol
import WebSocketTransport

@testable import RelayCluster
@testable import TransferBroker

/// What other nodes say on links, behind the codec: when, in which order, and with which numbers.
enum LinkStateDecoder {
    /// Records, each `u8 kind ‖ u8 length ‖ body`: events of both halves of a link with small numbers, or, by the
    /// lowest bits of the first byte, texts that come on one end of a connection.
    static let events = FuzzedDecoder(
        "link-state", longest: 3_000, of: .records(lengthBytes: 1, prefix: .bytes(1)),
        sources: [
            "RelayCluster/Link/InboundLinkHandler.swift", "RelayCluster/Link/LinkPeer.swift",
            "RelayCluster/Link/LinkReceiver.swift", "RelayCluster/Link/LinkSender.swift",
            "RelayCluster/Link/OutboundLinkHandler.swift",
        ]
    ) { input in
        var reader = InputReader(input)
        switch reader.byte() % 4 {
        case 0: try inbound(&reader)
        case 1: try outbound(&reader)
        default:
            var line = try PeerLine()
            while !reader.rest.isEmpty {
                let kind = reader.byte()
                try line.step(kind, InputReader(reader.bytes(Int(reader.byte()))))
            }
            try line.comesToRest()
        }
    }

    // MARK: - The ends of a connection

    private static func connected(_ handler: any ChannelHandler) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        try channel.pipeline.syncOperations.addHandler(handler)
        return channel
    }

    /// What else happens to a connection.
    private static func disturb(_ channel: EmbeddedChannel, _ kind: UInt8) {
        switch kind % 8 {
        case 0: channel.embeddedEventLoop.advanceTime(by: .milliseconds(800))
        case 1:
            channel.pipeline.fireUserInboundEventTriggered(
                WebSocketEvent.closed(code: nil, reason: .violation(.unansweredPing)))
        case 2: channel.pipeline.fireUserInboundEventTriggered(WebSocketEvent.closed(code: 1_000, reason: .peer("")))
        case 3: channel.pipeline.fireUserInboundEventTriggered(TLSEvent.peerClosed)
        case 4: channel.pipeline.fireErrorCaught(ChannelError.inputClosed)
        default: channel.embeddedEventLoop.run()
        }
    }

    /// What another node says that calls this one.
    private static func inbound(_ reader: inout InputReader) throws {
        let identity = try ownIdentity.get()
        let (loop, inbox) = (EmbeddedEventLoop(), Inbox())
        let links = NodeLinks(identity: identity, addresses: NoBook(), group: loop, logger: Logger.silent)
        links.start(inbox)
        let handler = InboundLinkHandler(links: links, names: ["b", "c"], connection: links.nextInbound())
        let channel = try connected(handler)
        // The number that is due, of the messages that were said.
        var due: UInt64 = 1
        while !reader.rest.isEmpty, channel.isActive {
            let kind = reader.byte()
            let text = ByteBuffer(bytes: reader.bytes(Int(reader.byte())))
            if kind & 1 == 0 {
                if case .message(due, _)? = try? LinkCodec.decode(text) { due += 1 }
                _ = try? channel.writeInbound(text)
            } else {
                disturb(channel, kind >> 1)
            }
            if kind & 0x40 == 0 { loop.run() }
            channel.embeddedEventLoop.run()
        }
        channel.embeddedEventLoop.advanceTime(by: .seconds(2))
        loop.run()
        var welcomes = 0
        while let said = try channel.readOutbound(as: ByteBuffer.self) {
            if case .welcome? = try? LinkCodec.decode(said) { welcomes += 1 }
        }
        try hold(welcomes <= 1, "\(welcomes) welcomes on one connection")
        try hold(welcomes == 1 || inbox.count == 0, "messages of a node that was not welcome")
        try hold(inbox.count < due, "\(inbox.count) messages, and \(due) was due")
        try hold(!channel.isActive || welcomes == 1, "a connection of nobody stays")
        _ = try? channel.finish(acceptAlreadyClosed: true)
        loop.run()
        try hold(links.status.inbound == 0, "a node that is gone is there")
    }

    /// What another node says that was called.
    private static func outbound(_ reader: inout InputReader) throws {
        var (frames, malformed, ends) = (0, 0, 0)
        let handler = OutboundLinkHandler(heartbeat: WebSocketHeartbeat()) { event in
            switch event {
            case .frame: frames += 1
            case .malformed: malformed += 1
            case .ended: ends += 1
            }
        }
        let channel = try connected(handler)
        var texts = 0
        while !reader.rest.isEmpty, channel.isActive {
            let kind = reader.byte()
            let text = reader.bytes(Int(reader.byte()))
            guard kind & 1 == 0 else {
                disturb(channel, kind >> 1)
                continue
            }
            texts += 1
            _ = try? channel.writeInbound(ByteBuffer(bytes: text))
        }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        try hold(frames + malformed == texts && ends == 1, "\(frames), \(malformed) and \(ends) of \(texts)")
    }

    // MARK: - What is around it

    /// That of the node `a`, whose certificate is its own authority's.
    private static let ownIdentity = Result {
        let folder = try TemporaryDirectory()
        defer { withExtendedLifetime(folder) {} }
        var certificate = MadeCertificate()
        certificate.names = [[0x82, UInt8(ascii: "a")]]
        let text = MadeCertificate.pem(try certificate.encoded())
        let path = try folder.write(Data(text.utf8), to: "a.pem")
        let key = try folder.write(Data(MadeCertificate.pem(key: 0).utf8), to: "a.key")
        guard let node = NodeID(rawValue: "a") else { throw Broken(description: "no node") }
        return try NodeIdentity(
            id: node, incarnation: PeerLine.incarnation(1), authority: path, certificate: path, key: key)
    }

    private struct NoBook: NodeAddressBook {
        func address(of node: NodeID) -> EventLoopFuture<NodeAddress?> { EmbeddedEventLoop().makeSucceededFuture(nil) }
    }

    private final class Inbox: NodeLinkDelegate {
        private let heard = Mutex(UInt64(0))

        /// How many messages have come.
        var count: UInt64 { heard.withLock { $0 } }

        func received(_ message: NodeMessage, from node: NodeID, incarnation: Incarnation) {
            heard.withLock { $0 += 1 }
        }

        func lost(_ node: NodeID) {}
    }
}

/// Both halves of the link with the node `b`, to which anything happens.
private struct PeerLine {
    private var peer: LinkPeer
    private let node: NodeID
    private let timing: LinkTiming
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    /// The process whose messages are delivered, how many were, and the last of its associations that is over.
    private var heard: (incarnation: Incarnation, association: UInt64, messages: UInt64)?
    private var over: (incarnation: Incarnation, association: UInt64)?
    private var caller: Incarnation?
    /// The number of the last message on each connection.
    private var written: [LinkConnection: UInt64] = [:]

    init() throws {
        guard let own = NodeID(rawValue: "a"), let node = NodeID(rawValue: "b") else {
            throw Broken(description: "no nodes")
        }
        self.node = node
        var timing = LinkTiming()
        (timing.unackedMessages, timing.unackedBytes) = (8, 3_000)
        self.timing = timing
        peer = LinkPeer(
            me: NodeInstance(node: own, incarnation: try Self.incarnation(1)), other: node, association: 3,
            timing: timing)
    }

    static func incarnation(_ number: UInt8) throws -> Incarnation {
        guard let made = Incarnation(bytes: [UInt8](repeating: number, count: 16)) else {
            throw Broken(description: "no incarnation")
        }
        return made
    }

    /// A small number, or one near the largest.
    private static func number(_ reader: inout InputReader) -> UInt64 {
        let byte = reader.byte()
        return byte < 0xF8 ? UInt64(byte) : .max - UInt64(0xFF - byte)
    }

    mutating func step(_ kind: UInt8, _ body: InputReader) throws {
        var reader = body
        let (first, second) = (Self.number(&reader), Self.number(&reader))
        let actions: [LinkAction]
        switch kind % 16 {
        case 0: actions = peer.send(try message(first, second), now: now)
        case 1:
            let address = NodeAddress(host: "h", port: 1, incarnation: try Self.incarnation(UInt8(second & 3)))
            actions = peer.resolved(second == 0 ? nil : address, attempt: first)
        case 2: actions = peer.connected(.outbound(first), now: now)
        case 3: actions = peer.dialFailed(.outbound(first), refused: second & 1 == 1, now: now)
        case 4: actions = peer.answered(try frame(&reader, second), on: .outbound(first), now: now)
        case 5: actions = peer.called(try hello(&reader, second), on: .inbound(first))
        case 6:
            let before = peer.receiver.state
            actions = peer.received(try message(1, 0), seq: second, on: .inbound(first), now: now)
            if case .active(let association) = before, actions.contains(where: { $0.isDelivery }) {
                try delivered(second, association)
            }
        case 7:
            let connection: LinkConnection = second & 1 == 0 ? .outbound(first) : .inbound(first)
            actions = peer.disconnected(connection, silence: .milliseconds(Int64(second >> 1 & 0xFFFF)), now: now)
        case 8: actions = peer.presenceGone(try Self.incarnation(UInt8(first & 3)))
        case 9: actions = peer.malformed(.outbound(first), now: now)
        case 10:
            now = now + .milliseconds(Int64(first & 0xFF) * 20)
            actions = peer.timerFired(now: now)
        default:
            now = max(now, peer.deadline ?? now)
            actions = peer.timerFired(now: now)
        }
        try check(actions)
    }

    /// Time alone ends every wait, and is asked for a finite number of times.
    mutating func comesToRest() throws {
        for _ in 0..<100 {
            guard let deadline = peer.deadline else { return }
            now = max(now, deadline)
            try check(peer.timerFired(now: now))
            try hold(peer.deadline.map { $0 > now } ?? true, "a time that does not pass")
        }
        throw Broken(description: "a link that never comes to rest")
    }

    private func message(_ number: UInt64, _ size: UInt64) throws -> NodeMessage {
        guard let transfer = TransferID(bytes: UInt8(0)..<16), let name = PeerName(rawValue: "bob"),
            let pull = PullRequestID(bytes: UInt8(0)..<16), let payload = Payload(bytes: [UInt8(0)]),
            let key = SigningKey(rawValue: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        else { throw Broken(description: "the fixture is not one") }
        switch size {
        case 1: return .ask(session: number, pull, from: User(name: name, key: key), to: name, payload)
        case 2...:
            let names = Array(repeating: name, count: Int(size & 0xFF) * 80)
            return .claimed(id: number, transfer: nil, download: nil, users: names)
        default: return .left(session: number, transfer: transfer)
        }
    }

    private func frame(_ reader: inout InputReader, _ kind: UInt64) throws -> LinkFrame {
        let (first, second) = (Self.number(&reader), Self.number(&reader))
        switch kind % 4 {
        case 0:
            let name = first == 9 ? "c" : "b"
            return .welcome(
                LinkFrame.Welcome(
                    node: NodeID(rawValue: name) ?? node, incarnation: try Self.incarnation(UInt8(first & 3)),
                    received: second == 0xF0 ? nil : second))
        case 1: return .ack(first)
        case 2: return .hello(try hello(&reader, first))
        default: return .message(seq: first, try message(second, 0))
        }
    }

    private func hello(_ reader: inout InputReader, _ association: UInt64) throws -> LinkFrame.Hello {
        let (from, to) = (reader.byte(), reader.byte())
        guard let called = NodeID(rawValue: to & 0x80 == 0 ? "a" : "c") else { throw Broken(description: "no node") }
        return LinkFrame.Hello(
            node: node, incarnation: try Self.incarnation(from & 3), to: called,
            toIncarnation: to & 0x7F == 0 ? nil : try Self.incarnation(to & 3), association: association)
    }

    /// Messages of a process come once, in order, and none of an association that is over.
    private mutating func delivered(_ seq: UInt64, _ association: LinkReceiver.Association) throws {
        let (incarnation, number) = (association.incarnation, association.number)
        if let over, over.incarnation == incarnation {
            try hold(number > over.association, "a message behind the loss of association \(number)")
        }
        let isSame = heard.map { $0.incarnation == incarnation && $0.association == number } ?? false
        let before = isSame ? heard?.messages ?? 0 : 0
        try hold(seq == before + 1, "message \(seq) behind \(before)")
        heard = (incarnation, number, seq)
    }

    private mutating func check(_ actions: [LinkAction]) throws {
        for action in actions {
            guard case .write(let text, let connection) = action, case .message(let seq, _) = try LinkCodec.decode(text)
            else { continue }
            if let before = written[connection] { try hold(seq == before + 1, "\(seq) is written behind \(before)") }
            written[connection] = seq
        }
        let losses = actions.count { if case .lost = $0 { true } else { false } }
        try hold(losses <= 1, "\(losses) losses at once")
        if losses == 1 {
            try hold(peer.sender.state == .idle && peer.sender.waitingMessages == 0, "what is lost goes on")
            if let heard { over = (heard.incarnation, heard.association) }
        }
        try hold(peer.sender.waitingMessages <= timing.unackedMessages, "\(peer.sender.waitingMessages) messages wait")
        try hold(!peer.isOver || !peer.isConnected, "a link that is over stands")
        // Another process of the node has numbers of its own.
        if case .active(let association) = peer.receiver.state, association.incarnation != caller {
            (caller, heard, over) = (association.incarnation, nil, nil)
        }
        if peer.isForgettable || peer.isOver { try hold(peer.deadline == nil, "a link that is over waits") }
    }
}

extension LinkAction {
    /// Whether a message is passed on.
    fileprivate var isDelivery: Bool { if case .deliver = self { true } else { false } }
}
