// SPDX-License-Identifier: Apache-2.0

import NIOCore
import ServerSystem
import TransferBroker
import WSProtocol

/// All that routing remembers, and what it decides from it: what ``ClusterRouting`` keeps under its lock.
struct RoutingCore {
    /// How a start went.
    enum StartOutcome: Hashable, Sendable {
        case joined
        /// Redis cannot be reached for now.
        case away
        /// Another live process has the id.
        case refused(NodePresence?)
        /// Redis lets this node do nothing; why, as Redis says it.
        case forbidden(String)
    }

    /// How an announcement ended.
    enum Ending: Hashable, Sendable {
        /// It was of the presence, and Redis has said whose the place is.
        case answered(PresenceOutcome)
        /// Anything else came through.
        case succeeded
        case failed
    }

    /// What can begin.
    struct Work: Sendable {
        var announcement: Publication?
        var lookups: [LookupQueue.Lookup]
    }

    /// What a reading of the nodes has changed.
    struct Reading: Sendable {
        var gone: [NodeTable.Gone]
        /// The other nodes.
        var nodes: Set<NodeID>
        /// What to tell all of them.
        var notifications: [ClusterNotification]
        /// Whether all that this node waited for have written everything in its epoch.
        var isSettled: Bool
    }

    private var publisher: RoutePublisher
    private var lookups = LookupQueue()
    private var table: NodeTable
    /// Completed once a token's route stands.
    private var publications: [TokenDigest: [EventLoopPromise<Void>]] = [:]
    /// Completed once the start is decided.
    private var start: EventLoopPromise<StartOutcome>?
    /// Completed once everything is taken away.
    private var leave: EventLoopPromise<Void>?
    /// Names with sessions here that have users still to be read in this round.
    private var names: [PeerName] = []
    /// Whether this node has joined since the start.
    private var hasArrived = false
    /// Nodes that listened when this one made the epoch, until they have written everything in it.
    private var awaited = 0
    /// What all other nodes have to be told once they have been read in this node's epoch.
    private var untold: [ClusterNotification] = []
    /// Another process with this node's id, and what it says if that can be read.
    private var rival: NodePresence??
    /// Values in Redis that meant nothing.
    private var ignored = 0
    /// When the last line about another process with this id was logged.
    private var warned: NIODeadline?
    private var timers: [RepeatedTask] = []
    private(set) var delegate: (any ClusterRoutingDelegate)?

    init(_ instance: NodeInstance, timing: RoutingTiming) {
        publisher = RoutePublisher(node: instance.node, incarnation: instance.incarnation, timing: timing)
        table = NodeTable(own: instance.node)
    }

    /// Figures for `status` and metrics.
    func status(isConnected: Bool, doorbell: Doorbell.Status) -> RoutingStatus {
        RoutingStatus(
            isConnected: isConnected, isJoined: isHeld, hasJoined: publisher.hasHeld, nodes: table.nodes.count,
            receiving: publisher.receiving.count, waiting: publisher.waiting.count, homes: publisher.homes.count,
            tokens: publisher.tokens.count, ignored: ignored, doorbell: doorbell
        )
    }

    /// Whether this node has its place in Redis.
    var isHeld: Bool { publisher.state == .held }

    /// The other nodes as they were read last.
    var others: [NodeID: NodePresence] { table.nodes }

    /// Where this node is dialled, and the last epoch in which it has written everything.
    var announced: (address: ListenAddress?, epoch: Epoch?) { (publisher.address, publisher.written) }

    func isWaiting(for name: PeerName) -> Bool { publisher.waiting.contains(name) }

    mutating func ignore(_ count: Int) { ignored += count }
}

// MARK: - Start and end

extension RoutingCore {
    mutating func begin(
        at address: ListenAddress, ownsAddress: Bool, _ delegate: any ClusterRoutingDelegate,
        _ promise: EventLoopPromise<StartOutcome>
    ) {
        (self.delegate, start) = (delegate, promise)
        publisher.begin(at: address, ownsAddress: ownsAddress)
    }

    mutating func keep(_ timers: [RepeatedTask]) { self.timers = timers }

    /// The start is decided, or its promise is not needed any more.
    mutating func takeStart() -> EventLoopPromise<StartOutcome>? { start.take() }

    /// Everything is taken away, or that has taken too long.
    mutating func takeLeave() -> EventLoopPromise<Void>? { leave.take() }

    /// How a start went that is still not decided at the end of its time.
    var lateOutcome: StartOutcome { rival.map { .refused($0) } ?? .away }

    /// The node is about to end. `promise` is kept until everything is taken away; false when there is nothing to take.
    mutating func end(_ promise: EventLoopPromise<Void>) -> (timers: [RepeatedTask], isLeaving: Bool) {
        publisher.leave()
        let isLeaving = publisher.state != .gone
        if isLeaving { leave = promise }
        defer { timers = [] }
        return (timers, isLeaving)
    }
}

// MARK: - Publications

extension RoutingCore {
    mutating func setReceiving(_ name: PeerName, sessions: Set<UInt64>) {
        publisher.setReceiving(name, sessions: sessions)
    }

    mutating func setSharing(_ name: PeerName, _ isSharing: Bool) { publisher.setSharing(name, isSharing) }
    mutating func setWaiting(_ name: PeerName, _ isWaiting: Bool) { publisher.setWaiting(name, isWaiting) }
    mutating func addHome(_ transfer: TransferID) { publisher.addHome(transfer) }
    mutating func removeHome(_ transfer: TransferID) { publisher.removeHome(transfer) }
    mutating func removeToken(_ digest: TokenDigest) { publisher.removeToken(digest) }
    mutating func restore(_ seen: [User]) { publisher.restore(seen) }

    /// Keeps `promise` until the route of a token stands; false when it cannot be written now.
    mutating func addToken(
        _ digest: TokenDigest, expiry: NIODeadline, _ promise: EventLoopPromise<Void>
    ) -> Bool {
        guard publisher.addToken(digest, expiry: expiry), isHeld else { return false }
        publications[digest, default: []].append(promise)
        return true
    }

    /// The promises of these tokens.
    mutating func takePublications(of digests: [TokenDigest]) -> [EventLoopPromise<Void>] {
        digests.flatMap { publications.removeValue(forKey: $0) ?? [] }
    }

    /// The promises of all tokens.
    mutating func takePublications() -> [EventLoopPromise<Void>] {
        defer { publications = [:] }
        return publications.values.flatMap { $0 }
    }

    /// Redis can be reached, and notifications can be heard.
    mutating func connected() {
        if publisher.state == .away { publisher.connected() }
    }

    /// Redis cannot be reached. Returns the promises of all tokens.
    mutating func disconnected() -> [EventLoopPromise<Void>] {
        publisher.disconnected()
        return takePublications()
    }

    mutating func checkEpoch() { publisher.checkEpoch() }

    /// The announcement that was under way has ended.
    mutating func ended(_ ending: Ending) -> [RoutePublisherAction] {
        switch ending {
        case .answered(let outcome): publisher.answered(outcome)
        case .succeeded: publisher.succeeded()
        case .failed: publisher.failed()
        }
    }

    /// What can begin now; nil when nothing can.
    mutating func work(now: NIODeadline) -> Work? {
        let work = Work(announcement: publisher.next(now: now), lookups: lookups.next())
        return work.announcement == nil && work.lookups.isEmpty ? nil : work
    }

    /// The node has its place in Redis. `others` have not said yet what they have there.
    mutating func joined(others: Int) {
        if others > 0 { awaited = others }
        rival = nil
        guard !hasArrived else { return }
        hasArrived = true
        tell(.nodes)
        lookups.addTickets()
    }

    /// Another process has this node's id. Returns whether that decides a start, or has to be logged.
    mutating func taken(
        _ presence: NodePresence?, isRenewed: Bool, now: NIODeadline
    ) -> (refusesStart: Bool, isLogged: Bool) {
        rival = .some(presence)
        guard start == nil else {
            // What refuses the start says why; a lookup that is on its way by then adds nothing.
            if isRenewed { warned = now }
            return (isRenewed, false)
        }
        if let warned, now < warned + Defaults.Routing.warningInterval { return (false, false) }
        warned = now
        return (false, true)
    }
}

// MARK: - Lookups

extension RoutingCore {
    /// Has the nodes read, and then all of them told.
    ///
    /// The script that makes an epoch writes its maker's presence as well: a node that is known only from an earlier
    /// reading may miss the one that waits for this notification.
    mutating func tell(_ notification: ClusterNotification) {
        if !untold.contains(notification) { untold.append(notification) }
        lookups.addNodes()
    }

    mutating func addHomes(of name: PeerName) { lookups.addHomes(of: name) }
    mutating func addReceivers(of name: PeerName) { lookups.addReceivers(of: name) }
    mutating func addTickets() { lookups.addTickets() }

    /// A lookup is over.
    mutating func ended(_ lookup: LookupQueue.Lookup, isDone: Bool) {
        if isDone { lookups.succeeded(lookup) } else { lookups.failed(lookup) }
    }

    /// It is time to renew. Returns whether the users of all names of the round have been read.
    mutating func renew(now: NIODeadline) -> Bool {
        publisher.tick(now: now)
        lookups.retry()
        guard isHeld else { return false }
        lookups.addNodes()
        addWaiting()
        return names.isEmpty
    }

    /// Reads the users of the next names of the round. `round` begins another.
    mutating func addSomeUsers(_ round: [PeerName]?) {
        if let round { names = round }
        let some = names.suffix(Defaults.Routing.usersPerRenewal)
        for name in some { lookups.addUser(name) }
        names.removeLast(some.count)
    }

    /// Reads the users of all `names`.
    mutating func addUsers(_ names: [PeerName]) {
        lookups.retry()
        for name in names { lookups.addUser(name) }
    }

    /// Notifications come from now on, and may have been lost until now.
    mutating func listens() {
        publisher.checkEpoch()
        lookups.addNodes()
        lookups.addTickets()
        addWaiting()
    }

    private mutating func addWaiting() {
        for name in publisher.waiting { lookups.addReceivers(of: name) }
    }

    mutating func heard(_ notification: ClusterNotification) {
        switch notification {
        case .receiving(let name): if isWaiting(for: name) { lookups.addReceivers(of: name) }
        case .announce: publisher.checkEpoch()
        case .nodes: lookups.addNodes()
        case .user(let name): lookups.addUser(name)
        case .tickets: lookups.addTickets()
        }
    }

    /// The nodes have been read. `isSettled` says whether one that is missing there is missing.
    mutating func take(_ read: RoutingReplies.Nodes, isSettled: Bool) -> Reading {
        ignored += read.ignored
        if read.epoch != publisher.epoch { publisher.checkEpoch() }
        let gone = table.update(read.nodes, isSettled: isSettled)
        let nodes = table.nodes.values
        let haveWritten =
            awaited > 0 && nodes.count >= awaited
            && nodes.allSatisfy { $0.epoch == nil || $0.epoch == read.epoch }
        if haveWritten { awaited = 0 }
        // In another epoch the presence is written again, and the nodes are read after that.
        let isCurrent = read.epoch == publisher.epoch
        defer { if isCurrent { untold = [] } }
        return Reading(
            gone: gone, nodes: Set(table.nodes.keys), notifications: isCurrent ? untold : [], isSettled: haveWritten
        )
    }
}
