// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import TransferBroker
import WSProtocol

/// The links of one process: a machine for each other node, and the connections they act on. Belongs to one event loop.
final class LinkTable {
    /// What there is for one other node.
    struct Entry {
        var peer: LinkPeer
        var channels: [LinkConnection: any Channel] = [:]
        var timer: Scheduled<Void>?
        /// What of the published status comes from here.
        var share = Share()
    }

    /// One node's part of the published status.
    struct Share: Equatable {
        var outbound = 0
        var inbound = 0
        var waitingMessages = 0
    }

    let identity: NodeIdentity
    let addresses: any NodeAddressBook
    let loop: any EventLoop
    let logger: Logger
    let heartbeat: WebSocketHeartbeat
    let dialer: NodeDialer
    private let timers: LinkTiming
    private let counts: LinkCounts
    private(set) var delegate: (any NodeLinkDelegate)?
    private var entries: [NodeID: Entry] = [:]
    /// No association with a node that was forgotten had a higher number.
    private var highestForgotten: UInt64 = 0
    private var complaints = LogRateLimiter()

    init(
        identity: NodeIdentity, addresses: any NodeAddressBook, loop: any EventLoop, logger: Logger,
        timers: LinkTiming, heartbeat: WebSocketHeartbeat, counts: LinkCounts
    ) {
        self.identity = identity
        self.addresses = addresses
        self.loop = loop
        self.logger = logger
        self.timers = timers
        self.heartbeat = heartbeat
        self.counts = counts
        dialer = NodeDialer(identity)
    }

    func start(_ delegate: any NodeLinkDelegate) { self.delegate = delegate }

    func stop() {
        delegate = nil
        let ended = entries
        entries = [:]
        counts.update { ($0.outbound, $0.inbound, $0.waitingMessages) = (0, 0, 0) }
        for entry in ended.values {
            entry.timer?.cancel()
            for channel in entry.channels.values { channel.close(promise: nil) }
        }
    }

    // MARK: - Events

    func send(_ message: NodeMessage, to node: NodeID) {
        guard delegate != nil else { return }
        guard hasEntry(node) else { return report(.overflow, node) }
        step(node) { $0.send(message, now: .now()) }
    }

    func presenceGone(_ node: NodeID, _ incarnation: Incarnation) {
        step(node) { $0.presenceGone(incarnation) }
    }

    func called(_ hello: LinkFrame.Hello, _ connection: LinkConnection, on channel: any Channel) {
        guard delegate != nil, hasEntry(hello.node) else { return channel.close(promise: nil) }
        entries[hello.node]?.channels[connection] = channel
        step(hello.node) { $0.called(hello, on: connection) }
    }

    func received(_ message: NodeMessage, seq: UInt64, from node: NodeID, on connection: LinkConnection) {
        step(node) { $0.received(message, seq: seq, on: connection, now: .now()) }
    }

    func disconnected(_ node: NodeID, _ connection: LinkConnection, silence: TimeAmount) {
        entries[node]?.channels[connection] = nil
        step(node) { $0.disconnected(connection, silence: silence, now: .now()) }
    }

    func refusedCertificate(of node: NodeID?, at address: String, _ words: String) {
        counts.update { $0.refusedCertificates += 1 }
        guard complaints.isNew(node: node, address: address, now: .now()) else { return }
        logger.warning(
            "a certificate between nodes was refused: compare the nodes' ids, certificates and authorities",
            metadata: [
                LogKeys.node: "\(node?.rawValue ?? "unknown")", LogKeys.address: "\(address)",
                LogKeys.error: "\(words)",
            ])
    }

    func violated(by node: NodeID?) {
        counts.update { $0.violations += 1 }
        logger.warning(
            "another node does not speak as it should, and was disconnected: do all run the same version?",
            metadata: [LogKeys.node: "\(node?.rawValue ?? "unknown")"])
    }

    // MARK: - Running the machines

    private func hasEntry(_ node: NodeID) -> Bool {
        if entries[node] != nil { return true }
        guard entries.count < Defaults.Link.nodes else {
            if complaints.isNew(node: nil, address: "", now: .now()) {
                logger.warning(
                    "there are too many other nodes, and one more was refused: do nodes change their ids at each start?",
                    metadata: [LogKeys.node: "\(node.rawValue)", LogKeys.count: "\(entries.count)"])
            }
            return false
        }
        entries[node] = Entry(
            peer: LinkPeer(me: identity.end, other: node, association: highestForgotten, timers: timers))
        return true
    }

    /// Gives an event to a node's machine and does what it wants. Nothing of an earlier event is left to be done then.
    func step(_ node: NodeID, _ event: (inout LinkPeer) -> [LinkAction]) {
        guard var entry = entries[node] else { return }
        let actions = event(&entry.peer)
        entries[node] = entry
        for action in actions { run(action, node) }
        settle(node)
    }

    private func run(_ action: LinkAction, _ node: NodeID) {
        switch action {
        case .resolve(let attempt): resolve(node, attempt)
        case .dial(let address, let connection): dial(node, address, connection)
        case .say(let frame, let connection):
            guard let text = try? LinkCodec.encode(frame) else { return }
            entries[node]?.channels[connection]?.writeAndFlush(text, promise: nil)
        case .write(let text, let connection):
            entries[node]?.channels[connection]?.writeAndFlush(text, promise: nil)
        case .deliver(let message, let incarnation):
            delegate?.received(message, from: node, incarnation: incarnation)
        case .close(let connection):
            entries[node]?.channels.removeValue(forKey: connection)?.close(promise: nil)
        case .reject(let connection):
            violated(by: node)
            entries[node]?.channels.removeValue(forKey: connection)?.close(promise: nil)
        case .lost(let reason): report(reason, node)
        }
    }

    private func report(_ reason: LinkLoss, _ node: NodeID) {
        counts.update { $0.lost += 1 }
        logger.notice(
            "lost another node", metadata: [LogKeys.node: "\(node.rawValue)", LogKeys.error: "\(reason.rawValue)"])
        delegate?.lost(node)
    }

    /// After an event: the timer, the status, and whether the node can be forgotten.
    private func settle(_ node: NodeID) {
        guard var entry = entries[node] else { return }
        entry.timer?.cancel()
        entry.timer = entry.peer.deadline.map { deadline in
            loop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] in
                self?.step(node) { $0.timerFired(now: .now()) } ?? ()
            }
        }
        let share = Share(
            outbound: entry.peer.sender.isOpen ? 1 : 0, inbound: entry.peer.receiver.isConnected ? 1 : 0,
            waitingMessages: entry.peer.sender.waitingMessages)
        if share != entry.share {
            let old = entry.share
            counts.update {
                $0.outbound += share.outbound - old.outbound
                $0.inbound += share.inbound - old.inbound
                $0.waitingMessages += share.waitingMessages - old.waitingMessages
            }
            entry.share = share
        }
        if entry.channels.isEmpty, entry.peer.isOver {
            entry.timer = loop.assumeIsolated().scheduleTask(in: timers.memory) { [weak self] in self?.forget(node) }
        }
        entries[node] = entry
        if entry.channels.isEmpty, entry.peer.isForgettable { forget(node) }
    }

    private func forget(_ node: NodeID) {
        highestForgotten = max(highestForgotten, entries[node]?.peer.sender.association ?? 0)
        entries[node] = nil
    }

    /// Keeps a connection that this node has dialled, if it is still wanted.
    func connected(_ node: NodeID, _ connection: LinkConnection, _ channel: any Channel) {
        guard entries[node] != nil else { return channel.close(promise: nil) }
        entries[node]?.channels[connection] = channel
        step(node) { $0.connected(connection, now: .now()) }
    }
}

@available(*, unavailable)
extension LinkTable: Sendable {}
