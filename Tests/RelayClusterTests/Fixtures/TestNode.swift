// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import RelayNode
import ServerSystem
import StreamRelay
import Synchronization
import TestSupport
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// Where the nodes of a test are.
final class TestBook: NodeAddressBook {
    private let entries = Mutex<[NodeID: NodeAddress]>([:])

    func address(of node: NodeID) -> EventLoopFuture<NodeAddress?> {
        MultiThreadedEventLoopGroup.singleton.any().makeSucceededFuture(entries.withLock { $0[node] })
    }

    /// Says where a node is; nil forgets it.
    func set(_ node: NodeID, _ address: NodeAddress?) { entries.withLock { $0[node] = address } }
}

/// Keeps what a node hears, in order.
final class TestInbox: NodeLinkDelegate {
    enum Event: Hashable {
        case message(NodeMessage, from: NodeID, Incarnation)
        case lost(NodeID)
    }

    private let stream: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    /// How many messages have come.
    let messages = Mutex(0)

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func received(_ message: NodeMessage, from node: NodeID, incarnation: Incarnation) {
        messages.withLock { $0 += 1 }
        continuation.yield(.message(message, from: node, incarnation))
    }

    func lost(_ node: NodeID) { continuation.yield(.lost(node)) }

    /// The next thing it hears.
    func next() async -> Event? {
        for await event in stream { return event }
        return nil
    }
}

/// Notes which streams came, and answers them.
final class TestStreams: NodeStreamAcceptor {
    let accepted = Mutex<[String]>([])

    func accept(_ head: RequestHead, from node: NodeID, _ reader: RequestReader) {
        accepted.withLock { $0.append("\(node) \(head.path) \(String(buffer: reader.pending))") }
        let answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        reader.channel?.writeAndFlush(answer, promise: nil)
        reader.channel?.close(promise: nil)
    }
}

/// One node of a test: links, and a listener on a port of its own.
final class TestNode: Sendable {
    private static let made = Result { try TestCertificates(nodes: ["a", "b", "c"]) }

    /// The authority of all nodes, and its certificates.
    static var certificates: TestCertificates {
        get throws { try made.get() }
    }

    let identity: NodeIdentity
    let links: NodeLinks
    let listener: NodeListener
    let inbox = TestInbox()
    let streams = TestStreams()

    /// Starts a node and writes it into the book.
    init(
        _ name: String, _ book: TestBook, timing: LinkTiming = LinkTiming(),
        heartbeat: WebSocketHeartbeat = .init(
            interval: Defaults.Link.heartbeat, answerWithin: Defaults.Link.heartbeatAnswer), unauthenticated: Int = 16,
        certificates: TestCertificates? = nil, certificateOf: String? = nil
    ) async throws {
        let files = try certificates ?? Self.certificates
        let group = MultiThreadedEventLoopGroup.singleton
        identity = try NodeIdentity(
            id: NodeID(rawValue: name)!, incarnation: .random(), authority: files.ca,
            certificate: files.node(certificateOf ?? name), key: files.nodeKey(certificateOf ?? name))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        links = NodeLinks(
            identity: identity, addresses: book, group: group, logger: logger, timing: timing, heartbeat: heartbeat)
        links.start(inbox)
        listener = try await NodeListener.bind(
            SocketAddress(ipAddress: "127.0.0.1", port: 0), identity: identity, group: group, links: links,
            streams: streams,
            inquiries: { inquiry, node in inquiry == "nonsense" ? nil : "\(inquiry) of \(node)" },
            admission: Admission(
                descriptorLimit: 1000, unauthenticatedPerAddress: nil,
                unauthenticatedPace: AddressLimit.standard.unauthenticatedPace, reports: LimitReports(logger: logger)),
            unauthenticated: unauthenticated, logger: logger, accepts: AcceptWatch(limit: 1000, logger: logger))
        book.set(identity.id, address)
    }

    var id: NodeID { identity.id }

    var address: NodeAddress { address(port: listener.address?.port ?? 0) }

    /// The node behind another port.
    func address(port: Int) -> NodeAddress {
        NodeAddress(host: "127.0.0.1", port: port, incarnation: identity.incarnation)
    }

    /// Ends the node; its port is closed afterwards.
    func stop() async throws {
        try await listener.close()
        try await links.stop()
    }

    /// What the node hears next is `number` from `other`.
    func hears(_ number: UInt64, from other: TestNode) async -> Bool {
        await inbox.next()
            == .message(LinkSamples.message(number), from: other.id, other.identity.incarnation)
    }

    func send(_ number: UInt64, to node: NodeID) { links.send(LinkSamples.message(number), to: node) }
}
