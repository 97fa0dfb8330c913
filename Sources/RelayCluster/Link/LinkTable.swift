// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import TransferBroker
import WSProtocol

/// The links of one process: a machine for each other node, and the connections they act on. Belongs to one event loop.
final class LinkTable {
    /// What there is for one other node.
    private struct Entry {
        var peer: LinkPeer
        var channels: [LinkConnection: any Channel] = [:]
        var timer: Scheduled<Void>?
        /// What of the published status comes from here.
        var share = Share()
    }

    /// One node's part of the published status.
    private struct Share: Equatable {
        var outbound = 0
        var inbound = 0
        var waitingMessages = 0
    }

    private let identity: NodeIdentity
    private let addresses: any NodeAddressBook
    private let loop: any EventLoop
    private let logger: Logger
    private let heartbeat: WebSocketHeartbeat
    private let dialer: NodeDialer
    private let timing: LinkTiming
    private let counts: LinkCounts
    private var delegate: (any NodeLinkDelegate)?
    private var entries: [NodeID: Entry] = [:]
    /// No association with a node that was forgotten had a higher number.
    private var highestForgotten: UInt64 = 0
    private var warnings = LogRateLimiter()

    init(
        identity: NodeIdentity, addresses: any NodeAddressBook, loop: any EventLoop, logger: Logger,
        timing: LinkTiming, heartbeat: WebSocketHeartbeat, counts: LinkCounts
    ) {
        self.identity = identity
        self.addresses = addresses
        self.loop = loop
        self.logger = logger
        self.timing = timing
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

    /// The nodes that are known to be there now.
    var connected: [NodeID] { entries.filter { $0.value.peer.isConnected }.map(\.key) }

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

    func refusedCertificate(of node: NodeID?, at address: String, _ reason: String) {
        counts.update { $0.refusedCertificates += 1 }
        guard warnings.isNew(node: node, address: address, now: .now()) else { return }
        logger.warning(
            "a certificate between nodes was refused: compare the nodes' ids, certificates and authorities",
            metadata: [
                LogKeys.node: "\(node?.rawValue ?? "unknown")", LogKeys.remote: "\(address)",
                LogKeys.error: "\(reason)",
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
            if warnings.isNew(node: nil, address: "", now: .now()) {
                logger.warning(
                    "there are too many other nodes, and one more was refused: do nodes change their ids at each start?",
                    metadata: [LogKeys.node: "\(node.rawValue)", LogKeys.count: "\(entries.count)"])
            }
            return false
        }
        entries[node] = Entry(
            peer: LinkPeer(me: identity.end, other: node, association: highestForgotten, timing: timing))
        return true
    }

    /// Gives an event to a node's machine and does what it wants. Nothing of an earlier event is left to be done then.
    private func step(_ node: NodeID, _ event: (inout LinkPeer) -> [LinkAction]) {
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
            entry.timer = loop.assumeIsolated().scheduleTask(in: timing.memory) { [weak self] in self?.forget(node) }
        }
        entries[node] = entry
        if entry.channels.isEmpty, entry.peer.isForgettable { forget(node) }
    }

    private func forget(_ node: NodeID) {
        highestForgotten = max(highestForgotten, entries[node]?.peer.sender.association ?? 0)
        entries[node] = nil
    }

    /// Keeps a connection that this node has dialled, if it is still wanted.
    private func connected(_ node: NodeID, _ connection: LinkConnection, _ channel: any Channel) {
        guard entries[node] != nil else { return channel.close(promise: nil) }
        entries[node]?.channels[connection] = channel
        step(node) { $0.connected(connection, now: .now()) }
    }
}

/// Ways to other nodes.
extension LinkTable {
    private func resolve(_ node: NodeID, _ attempt: UInt64) {
        addresses.address(of: node).hop(to: loop).assumeIsolated().whenSuccess { [self] address in
            // Never within the step that asks.
            loop.assumeIsolated().execute { self.step(node) { $0.resolved(address, attempt: attempt) } }
        }
    }

    private func dial(_ node: NodeID, _ address: NodeAddress, _ connection: LinkConnection) {
        let bound = NIOLoopBound(self, eventLoop: loop)
        dialer.connect(to: node, at: address, on: loop) { [heartbeat] channel in
            let upgrade = LinkUpgradeHandler(to: node, heartbeat: heartbeat) { result in
                switch result {
                case .success(let channel): bound.value.connected(node, connection, channel)
                case .failure(let error): bound.value.dialFailed(node, address, connection, error)
                }
            } report: { event in
                bound.value.heard(event, from: node, connection)
            }
            try channel.pipeline.syncOperations.addHandler(upgrade)
        }.assumeIsolated().whenFailure { error in
            let error = error as? NodeDialError ?? .unreachable("\(error)")
            self.dialFailed(node, address, connection, error)
        }
    }

    private func dialFailed(
        _ node: NodeID, _ address: NodeAddress, _ connection: LinkConnection, _ error: NodeDialError
    ) {
        switch error {
        case .untrusted(let reason), .otherAuthority(let reason):
            refusedCertificate(of: node, at: "\(address.host):\(address.port)", reason)
        case .refused, .unreachable:
            logger.debug(
                "cannot reach another node",
                metadata: [LogKeys.node: "\(node.rawValue)", LogKeys.error: "\(error)"])
        }
        step(node) { $0.dialFailed(connection, refused: error == .refused, now: .now()) }
    }

    private func heard(_ event: OutboundLinkHandler.Event, from node: NodeID, _ connection: LinkConnection) {
        switch event {
        case .frame(let frame): step(node) { $0.answered(frame, on: connection, now: .now()) }
        case .malformed: step(node) { $0.malformed(connection, now: .now()) }
        case .ended(let silence): disconnected(node, connection, silence: silence)
        }
    }
}

@available(*, unavailable)
extension LinkTable: Sendable {}

/// Remembers which warnings were logged lately, so that a mistake that is made again and again fills no disk. A value
/// of bounded size.
struct LogRateLimiter: Sendable {
    private struct Subject: Hashable {
        var node: NodeID?
        var address: String
    }

    private var until: [Subject: NIODeadline] = [:]

    /// Whether this was not logged within `Defaults.Link.warningInterval`; if so, it counts as logged now. With too
    /// many different ones at once, the rest goes unlogged.
    mutating func isNew(node: NodeID?, address: String, now: NIODeadline) -> Bool {
        let subject = Subject(node: node, address: address)
        if let until = until[subject], now < until { return false }
        if until.count >= Defaults.Link.warnings { until = until.filter { now < $0.value } }
        guard until.count < Defaults.Link.warnings else { return false }
        until[subject] = now + Defaults.Link.warningInterval
        return true
    }
}
