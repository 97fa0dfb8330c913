// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import TransferBroker
package import WSProtocol

/// All that routing remembers: what ``ClusterRouting`` keeps under its lock.
package struct RoutingCore {
    var publisher: RoutePublisher
    var looks = LookupQueue()
    var table: NodeTable
    /// Who waits for a token's route to stand.
    var publications: [TokenDigest: [EventLoopPromise<Void>]] = [:]
    /// Who waits for the start to be decided.
    package var start: EventLoopPromise<StartOutcome>?
    /// Who waits for everything to be taken away.
    package var leave: EventLoopPromise<Void>?
    /// Names with sessions here that have not been looked at in this round.
    package var names: [PeerName] = []
    /// Whether this node has joined since the start.
    var hasArrived = false
    /// Nodes that listened when this one made the epoch, until they have written everything in it.
    var awaited = 0
    /// What all other nodes have to be told once they have been read in this node's epoch.
    private var untold: [ClusterNotification] = []
    /// Another process with this node's id, and what it says if that can be read.
    var rival: NodePresence??
    /// What stood in Redis and meant nothing.
    package var ignored = 0
    /// When the last line about another process with this id was logged.
    var complained: NIODeadline?
    var timers: [RepeatedTask] = []
    var delegate: (any ClusterRoutingDelegate)?

    /// How a start went.
    package enum StartOutcome: Hashable, Sendable {
        case joined
        /// Redis cannot be reached for now.
        case away
        /// Another live process has the id.
        case refused(NodePresence?)
        /// Redis lets this node do nothing, in its words.
        case forbidden(String)
    }

    /// What to do next, for the one place that does it.
    package struct Work: Sendable {
        var announcement: Publication?
        var looks: [LookupQueue.Lookup]
    }

    init(publisher: RoutePublisher, table: NodeTable) {
        self.publisher = publisher
        self.table = table
    }

    /// Has the nodes read, and then all of them told.
    ///
    /// The script that makes an epoch writes its maker's presence as well: a node that is known only from an earlier
    /// reading may miss the one that waits for this notification.
    mutating func tell(_ notification: ClusterNotification) {
        if !untold.contains(notification) { untold.append(notification) }
        looks.addNodes()
    }

    /// What to tell all nodes, after they have been read in `epoch`.
    mutating func takeUntold(in epoch: Epoch?) -> [ClusterNotification] {
        // In another epoch the presence is written again, and the nodes are read after that.
        guard epoch == publisher.epoch else { return [] }
        defer { untold = [] }
        return untold
    }

    /// How a start went that is still not decided at the end of its time.
    var lateOutcome: StartOutcome { rival.map { .refused($0) } ?? .away }

    /// What can begin now; nil when nothing can.
    package mutating func work(now: NIODeadline) -> Work? {
        let work = Work(announcement: publisher.next(now: now), looks: looks.next())
        return work.announcement == nil && work.looks.isEmpty ? nil : work
    }
}
