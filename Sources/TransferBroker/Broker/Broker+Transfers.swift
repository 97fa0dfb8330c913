// SPDX-License-Identifier: Apache-2.0

package import NIOCore
import WSProtocol

// What an event of one transfer means for everything around it.
extension Broker {
    /// What the rest of the broker has to know about a transfer.
    package struct Footprint: Sendable {
        var receivingSide: [SessionID] = []
        package var receiver: SessionID?
        var isOpenToRing = false
        var heldBytes = 0
        package var deadline: NIODeadline?

        /// That of a transfer which is not there.
        package static let none = Footprint()

        private init() {}

        init(_ transfer: RelayedTransfer) {
            receivingSide = transfer.receivingSide
            receiver = transfer.receiver
            isOpenToRing = transfer.isOpenToRing
            heldBytes = transfer.heldBytes
            deadline = transfer.deadline
        }
    }

    /// Runs one event of a transfer; nothing happens when there is no such transfer.
    mutating func change(
        _ id: TransferID, now: NIODeadline, _ body: (inout RelayedTransfer) -> [TransferAction]
    ) -> [BrokerAction] {
        guard var transfer = transfers[id] else { return [] }
        let before = Footprint(transfer)
        let actions = body(&transfer)
        let settled = settle(transfer, since: before)
        return run(actions, of: transfer) + settled
    }

    /// Stores `transfer`, and brings everything that points at it up to date.
    mutating func settle(_ transfer: RelayedTransfer, since before: Footprint) -> [BrokerAction] {
        let id = transfer.id
        let after = Footprint(transfer)
        var actions: [BrokerAction] = []
        if case .ended = transfer.state {
            transfers[id] = nil
            sessions[transfer.sender]?.offered.remove(id)
            sessions[transfer.sender]?.taken.remove(id)
            actions.append(.announce(.home(id, false)))
        } else {
            transfers[id] = transfer
        }
        for session in before.receivingSide where !after.receivingSide.contains(session) {
            actions += leave(session, id)
        }
        for session in after.receivingSide where !before.receivingSide.contains(session) { join(session, id) }
        if before.receiver != after.receiver {
            if let receiver = before.receiver { sessions[receiver]?.accepted.remove(id) }
            if let receiver = after.receiver {
                sessions[receiver]?.accepted.insert(id)
                sessions[transfer.sender]?.taken.insert(id)
            }
            tally.activeTransfers += (after.receiver == nil ? 0 : 1) - (before.receiver == nil ? 0 : 1)
        }
        if before.isOpenToRing != after.isOpenToRing {
            actions += changePresence(transfer.recipient) { presence in
                if after.isOpenToRing {
                    presence.offers.append(id)
                } else {
                    presence.offers.removeAll { $0 == id }
                }
            }
        }
        tally.heldBytes += after.heldBytes - before.heldBytes
        settleShares(of: transfer)
        note(after.deadline, of: id, before: before.deadline)
        if case .ended = transfer.state, isDraining {
            actions += closeIfIdle(transfer.sender)
            if let receiver = before.receiver { actions += closeIfIdle(receiver) }
        }
        return actions
    }

    /// Brings up to date what the transfer takes up, and in which user's name. Its bytes count for the sender until a
    /// receiver accepts, and for the receiver after that.
    private mutating func settleShares(of transfer: RelayedTransfer) {
        let before = shares[transfer.id]
        var after: TransferShares?
        let isOver = if case .ended = transfer.state { true } else { false }
        if !isOver, let sender = before?.sender ?? sessions[transfer.sender]?.owner {
            var taken = TransferShares(sender: sender, sent: Holding(offers: 1))
            if let receiver = transfer.receiver {
                taken.receiver =
                    before?.receiver ?? sessions[receiver]?.owner ?? Owner(name: transfer.recipient, address: nil)
                taken.received = Holding(accepts: 1, waitingBytes: transfer.heldBytes)
            } else {
                taken.sent.waitingBytes = transfer.heldBytes
            }
            after = taken
        }
        shares[transfer.id] = after
        holdings.replace(before, with: after)
    }

    private mutating func note(_ deadline: NIODeadline?, of id: TransferID, before: NIODeadline?) {
        guard let deadline, deadline != before else { return }
        deadlines.insert(id, at: deadline)
        // At most one entry of each transfer stands; the others came from states that it has left.
        if deadlines.count > 2 * transfers.count + 64 {
            deadlines.compact { transfers[$0.key]?.deadline == $0.deadline }
        }
    }

    /// `session` is on the receiving side from now on.
    private mutating func join(_ session: SessionID, _ id: TransferID) {
        if session.node == node {
            sessions[session]?.incoming.insert(id)
        } else {
            remotes[session, default: []].insert(id)
        }
    }

    /// `session` is no longer on the receiving side.
    private mutating func leave(_ session: SessionID, _ id: TransferID) -> [BrokerAction] {
        guard session.node != node else {
            sessions[session]?.incoming.remove(id)
            return []
        }
        guard remotes[session]?.remove(id) != nil else { return [] }
        if remotes[session]?.isEmpty == true { remotes[session] = nil }
        return [.tell(session.node, .release(session: session.number, transfer: id))]
    }

    /// A session of a node that is about to stop has to go once nothing of it goes on.
    func closeIfIdle(_ session: SessionID) -> [BrokerAction] {
        guard isDraining, let found = sessions[session], !found.isBusy else { return [] }
        return [.close(session, .goingAway)]
    }

    /// Turns what the transfer asks for into messages to sessions.
    mutating func run(_ actions: [TransferAction], of transfer: RelayedTransfer) -> [BrokerAction] {
        actions.flatMap { run($0, of: transfer) }
    }

    private mutating func run(_ action: TransferAction, of transfer: RelayedTransfer) -> [BrokerAction] {
        let id = transfer.id
        func toSender(_ message: ServerMessage) -> [BrokerAction] { [.send(transfer.sender, message)] }
        switch action {
        case .answer(let session, let request): return notify(session, .ok(request))
        case .refuse(let session, let request, let code): return notify(session, .refuse(request, code))
        case .tellOffered(let state):
            return toSender(.offered(.init(id: transfer.offerID, transfer: id, state: state)))
        case .ring(let session, let payload):
            guard let sender = sessions[transfer.sender]?.user else { return [] }
            return notify(session, .ring(id, from: sender, to: transfer.recipient, payload))
        case .startDownload(let session, let request): return mint(for: id, .download(session, request))
        case .startUpload(let payload): return mint(for: id, .upload(payload))
        case .tellProgress(let bytes):
            return toSender(.progress(.init(id: transfer.offerID, transfer: id, bytes: bytes)))
        case .tellDelivered(let payload):
            return toSender(.delivered(.init(id: transfer.offerID, transfer: id, payload: payload)))
        case .failSender(let code, let party):
            return toSender(.failed(.init(id: transfer.offerID, transfer: id, code: code, by: party)))
        case .failReceiver(let session, let code, let party): return notify(session, .failed(id, code, by: party))
        case .endStream(let outcome): return endHalves(of: id, outcome)
        case .end(let outcome):
            switch outcome {
            case .delivered: tally.delivered &+= 1
            case .failed: tally.failed &+= 1
            }
            (halves[id], mints[id]) = (nil, nil)
            return ledger.revoke(id).map { .announce(.void($0)) } + [.transferEnded(id, outcome)]
        }
    }

    /// Tells a session on the receiving side something, on whichever node it is.
    mutating func notify(_ session: SessionID, _ notice: SessionNotice) -> [BrokerAction] {
        guard session.node == node else { return [.tell(session.node, .notice(session: session.number, notice))] }
        switch notice {
        case .ok(let request): return [.send(session, .ok(.init(id: request)))]
        case .refuse(let request, let code): return [.send(session, .refusal(request, code))]
        case .start(let request, let transfer, let token, let expires):
            let message = ServerMessage.Start(
                id: request, transfer: transfer, role: .download, token: token, url: "/download", expires: expires
            )
            return [.send(session, .start(message))]
        case .ring(let transfer, let sender, to: _, let payload):
            guard let request = sessions[session]?.nextID() else { return [] }
            let message = ServerMessage.Ring(
                id: request, transfer: transfer, from: sender.name, key: sender.key, exchangeKey: sender.exchangeKey,
                payload: payload
            )
            return [.send(session, .ring(message))]
        case .failed(let transfer, let code, let party):
            guard let request = sessions[session]?.nextID() else { return [] }
            return [.send(session, .failed(.init(id: request, transfer: transfer, code: code, by: party)))]
        }
    }
}
