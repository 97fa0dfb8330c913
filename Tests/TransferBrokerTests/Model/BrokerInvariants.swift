// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import WSProtocol

@testable import TransferBroker

extension Broker {
    /// What is kept twice and does not agree, or is kept although nothing needs it; nil when all is well.
    func brokenInvariant(now: NIODeadline) -> String? { snapshot.brokenInvariant ?? brokenReport(now: now) }

    /// A node that holds no half has nothing to report.
    private func brokenReport(now: NIODeadline) -> String? {
        let events: [StreamEvent] = [
            .joined, .finished(bytes: 1), .cut(.stalled, bytes: 1), .cut(.senderGone, bytes: 1),
        ]
        let before = snapshot
        for id in before.transfers.keys {
            for name in ["a", "b", "c"] {
                guard let holder = NodeID(rawValue: name), before.halves[id]?.has(holder) != true else { continue }
                var copy = self
                _ = copy.handle(.streamChanged(id, .downloadParked, on: holder), now: now)
                if copy.snapshot.fingerprint != before.fingerprint { return "a stranger's download counts" }
                for event in events {
                    var copy = self
                    let actions = copy.handle(.streamChanged(id, event, on: holder), now: now)
                    if !actions.isEmpty || copy.snapshot.fingerprint != before.fingerprint {
                        return "a report of a stranger counts"
                    }
                }
            }
        }
        return nil
    }
}

extension Broker.Snapshot {
    fileprivate var brokenInvariant: String? {
        brokenCounts ?? brokenNames ?? brokenSessions ?? brokenPointers ?? brokenDeadline
    }

    private var brokenCounts: String? {
        let accepts = sessions.sessions.values.reduce(0) { $0 + $1.accepted.count { remoteTransfers[$0] != nil } }
        if sessions.receivingCount != sessions.sessions.values.count(where: \.isReceiving) { return "receivingCount" }
        if sessions.sharingCount != sessions.sessions.values.count(where: \.isSharing) { return "sharingCount" }
        if requests.count != openRequests.values.reduce(0, { $0 + $1.count }) { return "requests.count" }
        if home.transfers.activeCount != transfers.values.count(where: { $0.receiver != nil }) { return "activeCount" }
        if remote.acceptCount != accepts { return "acceptCount is \(remote.acceptCount), not \(accepts)" }
        if sessions.holdings.waitingBytes != transfers.values.reduce(0, { $0 + $1.heldBytes }) { return "waitingBytes" }
        return nil
    }

    private var brokenNames: String? {
        for (name, presence) in sessions.names {
            let there = sessions.sessions.filter { $0.value.user.name == name }
            if presence.isEmpty { return "nothing is left of a name that is kept" }
            if Set(presence.sessions) != Set(there.keys) { return "names[].sessions" }
            if presence.sessions.count != there.count { return "names[].sessions has one twice" }
            if Set(presence.receiving) != Set(there.filter(\.value.isReceiving).keys) { return "names[].receiving" }
            if Set(presence.sharing) != Set(there.filter(\.value.isSharing).keys) { return "names[].sharing" }
            let open = transfers.values.filter { $0.recipient == name && $0.isOpenToRing }
            if Set(presence.offers) != Set(open.map(\.id)) { return "names[].offers" }
            if presence.offers.count != open.count { return "names[].offers has one twice" }
        }
        for session in sessions.sessions.values where sessions.names[session.user.name] == nil {
            return "a session without its name"
        }
        for transfer in transfers.values where transfer.isOpenToRing && sessions.names[transfer.recipient] == nil {
            return "an offer without its name"
        }
        return nil
    }

    private var brokenSessions: String? {
        for (id, session) in sessions.sessions {
            let own = transfers.values.filter { $0.receivingSide.contains(id) }.map(\.id)
            let foreign = remoteTransfers.filter { $0.value.sessions.contains(id) }.map(\.key)
            let accepted = Set(transfers.values.filter { $0.receiver == id }.map(\.id))
            let offered = transfers.values.filter { $0.sender == id }
            if session.requests != Set(openRequests.filter { $0.value[id] != nil }.keys) { return "\(id).requests" }
            if session.incoming != Set(own + foreign) { return "\(id).incoming" }
            if !accepted.isSubset(of: session.accepted) { return "\(id).accepted lacks one" }
            if !session.accepted.isSubset(of: accepted.union(foreign)) { return "\(id).accepted has an ended one" }
            if session.offered != Set(offered.map(\.id)) { return "\(id).offered" }
            if session.taken != Set(offered.filter { $0.receiver != nil }.map(\.id)) { return "\(id).taken" }
        }
        return nil
    }

    private var brokenPointers: String? {
        var expected: [SessionID: Set<TransferID>] = [:]
        for transfer in transfers.values {
            if sessions[transfer.sender] == nil { return "a transfer without its sender" }
            if case .ended = transfer.state { return "an ended transfer" }
            for session in transfer.receivingSide {
                if session.node == node {
                    if sessions[session] == nil { return "a receiver that is not here" }
                } else {
                    expected[session, default: []].insert(transfer.id)
                }
            }
        }
        if remoteSessions != expected { return "remoteSessions" }
        for (id, remote) in remoteTransfers {
            if transfers[id] != nil { return "a transfer of another home that is at home here" }
            if remote.sessions.isEmpty { return "a transfer of another home without sessions" }
            if remote.sessions.contains(where: { sessions[$0] == nil }) {
                return "a session that is gone, in a transfer of another home"
            }
        }
        for open in openRequests.values {
            if open.isEmpty { return "a request of no session" }
            if open.keys.contains(where: { $0.node == node && sessions[$0] == nil }) { return "a request of none here" }
        }
        for id in halves.keys where transfers[id] == nil { return "halves of an ended transfer" }
        for entry in unusedTokens.values where transfers[entry.transfer] == nil {
            return "a token of an ended transfer"
        }
        for id in pendingTokens.keys where transfers[id] == nil { return "a token is being made for an ended transfer" }
        if Set(unusedTokens.values.map(\.transfer)).count != unusedTokens.count { return "two unused tokens" }
        return nil
    }

    private var brokenDeadline: String? {
        var queue = home.transfers.deadlines
        var entries: [TransferID: Set<NIODeadline>] = [:]
        while let entry = queue.popDue(now: .distantFuture) { entries[entry.key, default: []].insert(entry.deadline) }
        for (id, transfer) in transfers {
            if let deadline = transfer.deadline, entries[id]?.contains(deadline) != true { return "a lost deadline" }
        }
        var others = requests.deadlines
        var ends: [PullRequests.Key: Set<NIODeadline>] = [:]
        while let entry = others.popDue(now: .distantFuture) { ends[entry.key, default: []].insert(entry.deadline) }
        for (request, open) in openRequests {
            for (session, open) in open {
                let key = PullRequests.Key(request: request, session: session)
                if ends[key]?.contains(open.deadline) != true { return "a lost deadline of a request" }
            }
        }
        return nil
    }
}
