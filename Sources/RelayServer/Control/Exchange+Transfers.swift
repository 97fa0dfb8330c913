// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

// What an event of one transfer means for everything around it.
extension Exchange {
    /// What the rest of the exchange has to know about a transfer.
    struct Footprint: Sendable {
        var receivingSide: [SessionID] = []
        var receiver: SessionID?
        var isOpenToRing = false
        var heldBytes = 0
        var deadline: NIODeadline?

        /// That of a transfer which is not there.
        static let none = Footprint()

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
    ) -> [ExchangeAction] {
        guard var transfer = transfers[id] else { return [] }
        let before = Footprint(transfer)
        let actions = body(&transfer)
        settle(transfer, since: before)
        return run(actions, of: transfer, now: now)
    }

    /// Stores `transfer`, and brings everything that points at it up to date.
    mutating func settle(_ transfer: RelayedTransfer, since before: Footprint) {
        let id = transfer.id
        let after = Footprint(transfer)
        if case .ended = transfer.state {
            transfers[id] = nil
            sessions[transfer.sender]?.offered.remove(id)
        } else {
            transfers[id] = transfer
        }
        for session in before.receivingSide where !after.receivingSide.contains(session) {
            sessions[session]?.incoming.remove(id)
        }
        for session in after.receivingSide { sessions[session]?.incoming.insert(id) }
        if before.receiver != after.receiver {
            if let receiver = before.receiver { sessions[receiver]?.accepted.remove(id) }
            if let receiver = after.receiver { sessions[receiver]?.accepted.insert(id) }
            tally.activeTransfers += (after.receiver == nil ? 0 : 1) - (before.receiver == nil ? 0 : 1)
        }
        if before.isOpenToRing != after.isOpenToRing {
            changePresence(transfer.recipient) { presence in
                if after.isOpenToRing {
                    presence.offers.append(id)
                } else {
                    presence.offers.removeAll { $0 == id }
                }
            }
        }
        tally.heldBytes += after.heldBytes - before.heldBytes
        if let deadline = after.deadline, deadline != before.deadline {
            deadlines.insert(id, at: deadline)
            // At most one entry of each transfer stands; the others came from states that it has left.
            if deadlines.count > 2 * transfers.count + 64 {
                deadlines.compact { transfers[$0.key]?.deadline == $0.deadline }
            }
        }
    }

    /// Turns what the transfer asks for into messages to sessions.
    mutating func run(
        _ actions: [TransferAction], of transfer: RelayedTransfer, now: NIODeadline
    ) -> [ExchangeAction] {
        actions.flatMap { run($0, of: transfer, now: now) }
    }

    private mutating func run(
        _ action: TransferAction, of transfer: RelayedTransfer, now: NIODeadline
    ) -> [ExchangeAction] {
        let id = transfer.id
        func toSender(_ message: ServerMessage) -> [ExchangeAction] { [.send(transfer.sender, message)] }
        switch action {
        case .answer(let session, let request): return [.send(session, .ok(.init(id: request)))]
        case .refuse(let session, let request, let code): return [.send(session, .refusal(request, code))]
        case .tellOffered(let state):
            return toSender(.offered(.init(id: transfer.offerID, transfer: id, state: state)))
        case .ring(let session, let payload): return ring(session, payload, transfer)
        case .startDownload(let session, let request):
            return start(transfer, .download, session, request, nil, now: now)
        case .startUpload(let payload):
            return start(transfer, .upload, transfer.sender, transfer.offerID, payload, now: now)
        case .tellProgress(let bytes):
            return toSender(.progress(.init(id: transfer.offerID, transfer: id, bytes: bytes)))
        case .tellDelivered(let payload):
            return toSender(.delivered(.init(id: transfer.offerID, transfer: id, payload: payload)))
        case .failSender(let code, let party):
            return toSender(.failed(.init(id: transfer.offerID, transfer: id, code: code, by: party)))
        case .failReceiver(let session, let code, let party):
            guard let request = sessions[session]?.nextID() else { return [] }
            return [.send(session, .failed(.init(id: request, transfer: id, code: code, by: party)))]
        case .abortStream(let code): return [.abortStream(id, code)]
        case .end(let outcome):
            ledger.revoke(id)
            switch outcome {
            case .delivered: tally.delivered &+= 1
            case .failed: tally.failed &+= 1
            }
            return [.transferEnded(id, outcome)]
        }
    }

    private mutating func ring(
        _ session: SessionID, _ payload: Payload, _ transfer: RelayedTransfer
    ) -> [ExchangeAction] {
        guard let sender = sessions[transfer.sender]?.user, let request = sessions[session]?.nextID() else { return [] }
        let message = ServerMessage.Ring(
            id: request, transfer: transfer.id, from: sender.name, key: sender.key, exchangeKey: sender.exchangeKey,
            payload: payload
        )
        return [.send(session, .ring(message))]
    }

    private mutating func start(
        _ transfer: RelayedTransfer, _ role: TransferRole, _ session: SessionID, _ request: RequestID,
        _ payload: Payload?, now: NIODeadline
    ) -> [ExchangeAction] {
        // Whoever caused this has asked for room before; if there is none all the same, the transfer's deadline ends it.
        guard let token = ledger.mint(transfer.id, role, now: now) else {
            return [.send(session, .refusal(request, .unavailable))]
        }
        let message = ServerMessage.Start(
            id: request, transfer: transfer.id, role: role, token: token, url: "/\(role.rawValue)",
            expires: Int(limits.tokenLifetime.nanoseconds / 1_000_000_000), payload: payload
        )
        return [.send(session, .start(message))]
    }
}
