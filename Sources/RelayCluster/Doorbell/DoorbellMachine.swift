// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker
import WSProtocol

/// The rules of notifications: each is sent until it is answered, three times in all, and reported once however often
/// it is heard.
struct DoorbellMachine: Sendable {
    /// What has to be done.
    enum Action: Hashable, Sendable {
        case publish(DoorbellMessage, to: NodeID)
        /// A notification has come for the first time.
        case heard(ClusterNotification)
    }

    /// The most of each.
    struct Limits: Hashable, Sendable {
        /// How often a notification is sent in all.
        var attempts = Defaults.Routing.notificationAttempts
        /// Notifications that wait for an answer.
        var unanswered = Defaults.Routing.unansweredNotifications
        /// Notifications that are known to have been heard.
        var remembered = Defaults.Routing.rememberedNotifications
    }

    private struct Target: Hashable, Sendable {
        var node: NodeID
        var notification: ClusterNotification
    }

    private struct Unanswered: Sendable {
        var target: Target
        var attempts: Int
        /// It was wanted again since: the node that answers may have looked before that.
        var isRepeated: Bool
    }

    private struct Heard: Hashable, Sendable {
        var from: NodeID
        var id: RequestID
    }

    private let node: NodeID
    /// In front of each id, so that no two starts of a node use the same ones.
    private let prefix: String
    private let limits: Limits
    /// How long an answer may take.
    private let patience: TimeAmount
    private var count: UInt64 = 0
    private var unanswered: [RequestID: Unanswered] = [:]
    private var targets: [Target: RequestID] = [:]
    /// In the order of their deadlines, since all wait equally long; answered ones too.
    private var deadlines = CircularBuffer<(id: RequestID, attempts: Int, deadline: NIODeadline)>()
    private var heard = OrderedQueue<Heard>()

    /// Notifications that were not answered, and those that were not sent because too many were unanswered.
    private(set) var lost = 0

    init(
        node: NodeID, incarnation: Incarnation, limits: Limits = Limits(),
        patience: TimeAmount = Defaults.Routing.notificationPatience
    ) {
        self.node = node
        self.prefix = incarnation.rawValue
        self.limits = limits
        self.patience = patience
    }

    /// Notifications that wait for an answer.
    var waiting: Int { unanswered.count }

    /// Notifies `other`.
    mutating func notify(_ other: NodeID, _ notification: ClusterNotification, now: NIODeadline) -> [Action] {
        let target = Target(node: other, notification: notification)
        if let id = targets[target] {
            unanswered[id]?.isRepeated = true
            return []
        }
        count &+= 1
        guard unanswered.count < limits.unanswered, let id = RequestID(rawValue: "\(prefix)-\(count)") else {
            lost &+= 1
            return []
        }
        targets[target] = id
        unanswered[id] = Unanswered(target: target, attempts: 0, isRepeated: false)
        return publish(id, now: now)
    }

    private mutating func publish(_ id: RequestID, now: NIODeadline) -> [Action] {
        guard var entry = unanswered[id] else { return [] }
        entry.attempts += 1
        unanswered[id] = entry
        deadlines.append((id, entry.attempts, now + patience))
        return [.publish(.notification(id: id, from: node, entry.target.notification), to: entry.target.node)]
    }

    /// A message came on this node's channel.
    mutating func heard(_ message: DoorbellMessage, now: NIODeadline) -> [Action] {
        switch message {
        case .answer(let id, let from):
            guard let entry = unanswered[id], entry.target.node == from else { return [] }
            forget(id, entry)
            return entry.isRepeated ? notify(from, entry.target.notification, now: now) : []
        case .notification(let id, let from, let notification):
            let answer = Action.publish(.answer(id: id, from: node), to: from)
            let known = heard.count
            _ = heard.append(Heard(from: from, id: id))
            guard heard.count > known else { return [answer] }
            if heard.count > limits.remembered { _ = heard.popFirst() }
            return [.heard(notification), answer]
        }
    }

    /// Sends again what is overdue, and gives up what has been sent often enough.
    mutating func tick(now: NIODeadline) -> [Action] {
        var actions: [Action] = []
        while let first = deadlines.first, first.deadline <= now {
            deadlines.removeFirst()
            guard let entry = unanswered[first.id], entry.attempts == first.attempts else { continue }
            if entry.attempts < limits.attempts {
                actions += publish(first.id, now: now)
            } else {
                lost &+= 1
                forget(first.id, entry)
            }
        }
        return actions
    }

    private mutating func forget(_ id: RequestID, _ entry: Unanswered) {
        unanswered[id] = nil
        targets[entry.target] = nil
    }
}
