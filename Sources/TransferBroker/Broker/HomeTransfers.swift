// SPDX-License-Identifier: Apache-2.0

import NIOCore
import WSProtocol

/// The transfers whose home this node is: with their tokens, the halves of their streams, and their sessions on other
/// nodes.
///
/// Decides about them, whichever node the event comes from. Sessions of this node are told by way of the
/// ``SessionTable``.
struct HomeTransfers: Sendable {
    private let node: NodeID
    private let limits: BrokerLimits
    private(set) var transfers = TransferTable()
    private(set) var tokens: TokenIssuer
    private(set) var halves = StreamHalves()
    private(set) var remoteSessions = RemoteSessions()
    /// What has happened since the start.
    private(set) var totals = BrokerStatus()
    private var failures: RecentFailures

    init(node: NodeID, limits: BrokerLimits) {
        self.node = node
        self.limits = limits
        failures = RecentFailures(
            memory: Defaults.Broker.retryMemory, capacity: Defaults.Broker.rememberedFailures)
        tokens = TokenIssuer(lifetime: limits.timing.token, capacity: limits.unclaimedTokens)
    }

    subscript(transfer: TransferID) -> RelayedTransfer? { transfers[transfer] }

    // MARK: - What sessions ask

    /// A session of this node offers a transfer.
    ///
    /// - Parameters:
    ///   - requesters: of an offer that answers a request, the sessions that have the request open.
    ///   - refusal: why there are no new offers at the moment, or none under that id.
    mutating func offered(
        _ offer: ClientMessage.Offer, _ found: LookupResult, by session: SessionID, answering requesters: [SessionID]?,
        unless refusal: FailureCode?, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        guard let sender = sessions[session]?.user.name else { return [] }
        guard found.user != nil else { return [.send(session, .unknownPeer(offer.id, offer.to))] }
        let receivers = requesters ?? receivers(of: offer.to, found, except: session, sessions)
        // A receiver that is about to come is rung then.
        let isExpected = requesters == nil && receivers.isEmpty && offer.to != sender && sessions.isExpected(offer.to)
        let refusal: FailureCode? =
            if let refusal {
                refusal
            } else if transfers[offer.transfer] != nil {
                .transferExists
            } else if requesters != nil {
                receivers.isEmpty ? .unknownRequest : nil
            } else if isExpected {
                nil
            } else if receivers.isEmpty && found.elsewhere == .unknown {
                // A receiver may be on another node: to answer that there is none would be a guess.
                .clusterUnavailable
            } else if receivers.isEmpty && !offer.wait {
                .peerOffline
            } else { nil }
        if let refusal { return [.send(session, .refusal(offer.id, refusal))] }
        if let refusal = sessions.refusal(of: offer, by: session, ringing: receivers) {
            return sessions.refuse(offer.id, of: session, refusal)
        }
        let (transfer, actions) = RelayedTransfer.offered(
            offer, by: session, named: sender, ringing: receivers, expectsOne: isExpected,
            timing: limits.timing.transfer,
            now: now
        )
        totals.offered &+= 1
        if failures.began(.init(sender: transfer.senderName, recipient: transfer.recipient), now: now) {
            totals.offeredAgain &+= 1
        }
        return settle(TransferChange(to: transfer, from: nil), &sessions, now: now)
            + run(actions, of: transfer, &sessions, now: now)
    }

    /// The sessions of `name` that want to be rung, on all nodes.
    private func receivers(
        of name: PeerName, _ found: LookupResult, except session: SessionID, _ sessions: SessionTable
    ) -> [SessionID] {
        let here = sessions.presence(of: name).receiving.filter { $0 != session }
        guard case .known(let elsewhere) = found.elsewhere else { return here }
        return here + elsewhere.filter { $0.node != node }
    }

    /// A session of any node asks for something about one of the transfers.
    mutating func requestReceived(
        _ message: ClientMessage, from session: SessionID, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        switch message {
        case .login, .register, .presence, .lookup, .offer, .request, .withdraw, .refuse, .ping: return []
        case .accept(let message): return accepted(message, by: session, &sessions, now: now)
        case .decline(let message):
            guard message.code.isClients else { return sessions.notify(session, .refuse(message.id, .badMessage)) }
            return change(message.transfer, or: session, message.id, &sessions, now: now) {
                $0.declined(by: session, request: message.id, code: message.code)
            }
        case .cancel(let message):
            // Which of the two losses it may name depends on the side it is of: the transfer knows.
            let isLoss = [.streamLost(by: .upload), .streamLost(by: .download)].contains(message.code)
            guard isLoss || message.code.isClients else {
                return sessions.notify(session, .refuse(message.id, .badMessage))
            }
            return change(message.transfer, or: session, message.id, &sessions, now: now) {
                $0.cancelled(by: session, request: message.id, code: message.code)
            }
        case .delivered(let message):
            return change(message.transfer, or: session, message.id, &sessions, now: now) {
                $0.delivered(by: session, request: message.id, payload: message.payload, now: now)
            }
        case .note(let message):
            return change(message.transfer, or: session, message.id, &sessions, now: now) {
                $0.noted(by: session, request: message.id, payload: message.payload)
            }
        case .progress(let message):
            // A report that comes too late or makes no sense is dropped: it is for the eyes only.
            let actions = change(message.transfer, &sessions, now: now) {
                $0.progressed(by: session, bytes: message.bytes, now: now)
            }
            if actions.isEmpty { totals.progressDropped &+= 1 }
            return actions
        }
    }

    private mutating func accepted(
        _ message: ClientMessage.Accept, by session: SessionID, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        if session.node == node, let refusal = sessions.refusal(of: message, by: session) {
            return sessions.refuse(message.id, of: session, refusal)
        }
        if sessions.refusesNew {
            // A session of another node has no reason to leave that one: the offer comes again, from elsewhere.
            return sessions.notify(session, .refuse(message.id, session.node == node ? .draining : .unknownTransfer))
        }
        guard tokens.hasRoom(now: now) else { return sessions.notify(session, .refuse(message.id, .unavailable)) }
        if session.node != node, let transfer = transfers[message.transfer],
            let refusal = sessions.holdings.refusal(of: message, by: Owner(name: transfer.recipient, address: nil))
        {
            // What other nodes pass on has a code, and the code's own message.
            return sessions.notify(session, .refuse(message.id, refusal.code)) + [
                .limitMet(refusal.limit, refusal.owner)
            ]
        }
        return change(message.transfer, or: session, message.id, &sessions, now: now) {
            $0.accepted(by: session, request: message.id, payload: message.payload, now: now)
        }
    }

    // MARK: - Transfers

    /// Rings `receivers` for every offer to `name`. Those that have been rung already are not rung again.
    mutating func ring(
        _ receivers: [SessionID], _ name: PeerName, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        let offers = sessions.presence(of: name).offers
        var actions: [BrokerAction] = []
        for receiver in receivers {
            for offer in offers {
                actions += change(offer, &sessions, now: now) { $0.sessionReceiving(receiver, now: now) }
            }
        }
        return actions
    }

    /// No session of these names has come, though each was expected: their offers wait, or end.
    mutating func missed(
        _ names: Set<PeerName>, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for name in names.inOrder() {
            for offer in sessions.presence(of: name).offers {
                actions += change(offer, &sessions, now: now) { $0.receiverHasNotCome() }
            }
        }
        return actions
    }

    /// Runs one event of a transfer, or refuses a request about one that is not there.
    private mutating func change(
        _ id: TransferID, or asking: SessionID, _ request: RequestID, _ sessions: inout SessionTable, now: NIODeadline,
        _ body: (inout RelayedTransfer) -> [TransferAction]
    ) -> [BrokerAction] {
        transfers[id] == nil
            ? sessions.notify(asking, .refuse(request, .unknownTransfer)) : change(id, &sessions, now: now, body)
    }

    /// Runs one event of a transfer; nothing happens when there is no such transfer.
    mutating func change(
        _ id: TransferID, _ sessions: inout SessionTable, now: NIODeadline,
        _ body: (inout RelayedTransfer) -> [TransferAction]
    ) -> [BrokerAction] {
        guard let before = transfers[id] else { return [] }
        var transfer = before
        let actions = body(&transfer)
        let settled = settle(TransferChange(to: transfer, from: before), &sessions, now: now)
        return run(actions, of: transfer, &sessions, now: now) + settled
    }

    /// Brings everything that keeps something about a transfer up to date.
    private mutating func settle(
        _ change: TransferChange, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        let isThere = change.after.isThere
        var actions: [BrokerAction] = change.before.isThere == isThere ? [] : [.announce(.home(change.id, isThere))]
        transfers.apply(change)
        if change.before.receiver == nil, change.after.receiver != nil {
            totals.answerTimes.record(now - change.transfer.offeredAt)
        }
        actions += remoteSessions.apply(change, home: node)
        actions += sessions.apply(change)
        guard !isThere else { return actions }
        actions += sessions.closeIfIdle(change.transfer.sender)
        return actions + (change.before.receiver.map { sessions.closeIfIdle($0) } ?? [])
    }

    /// Turns what the transfer asks for into messages to sessions.
    private mutating func run(
        _ actions: [TransferAction], of transfer: RelayedTransfer, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        var done: [BrokerAction] = []
        for action in actions { done += run(action, of: transfer, &sessions, now: now) }
        return done
    }

    private mutating func run(
        _ action: TransferAction, of transfer: RelayedTransfer, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        let (id, offer) = (transfer.id, transfer.offerID)
        func toSender(_ message: ServerMessage) -> [BrokerAction] { [.send(transfer.sender, message)] }
        switch action {
        case .answer(let session, let request):
            return sessions.notify(session, .ok(request)) + refuseToken(of: id, to: session, &sessions)
        case .refuse(let session, let request, let code): return sessions.notify(session, .refuse(request, code))
        case .tellOffered(let state): return toSender(.offered(.init(id: offer, transfer: id, state: state)))
        case .ring(let session, let payload):
            guard let sender = sessions[transfer.sender]?.user else { return [] }
            return sessions.notify(
                session, .ring(id, from: sender, to: transfer.recipient, payload, answers: transfer.answers))
        case .startDownload(let session, let request):
            return [.mint(tokens.request(for: id, .download(session, request)))]
        case .startUpload(let payload): return [.mint(tokens.request(for: id, .upload(payload)))]
        case .tellProgress(let bytes): return toSender(.progress(.init(id: offer, transfer: id, bytes: bytes)))
        case .tellNote(let payload): return toSender(.note(.init(id: offer, transfer: id, payload: payload)))
        case .noteToReceiver(let session, let payload): return sessions.notify(session, .note(id, payload))
        case .tellDelivered(let payload):
            return toSender(.delivered(.init(id: offer, transfer: id, payload: payload)))
        case .failSender(let code, let party):
            return toSender(.failed(.init(id: offer, transfer: id, code: code, by: party)))
        case .failReceiver(let session, let code, let party):
            return sessions.notify(session, .failed(id, code, by: party)) + refuseToken(of: id, to: session, &sessions)
        case .endStream(let outcome): return halves[id].nodes.flatMap { endStream(of: id, on: $0, outcome) }
        case .end(let outcome):
            count(outcome, of: transfer, now: now)
            halves.forget(id)
            return tokens.revoke(id).map { .announce(.void($0)) } + [.transferEnded(id, outcome)]
        }
    }

    /// The answer to the `accept` of a session that hears the end while its token is still being made.
    private mutating func refuseToken(
        of transfer: TransferID, to session: SessionID, _ sessions: inout SessionTable
    ) -> [BrokerAction] {
        guard let request = tokens.withdraw(transfer, from: session) else { return [] }
        return sessions.notify(session, .refuse(request, .unknownTransfer))
    }

    private mutating func count(_ outcome: TransferOutcome, of transfer: RelayedTransfer, now: NIODeadline) {
        switch outcome {
        case .delivered:
            totals.delivered &+= 1
            if let accepted = transfer.acceptedAt { totals.deliveryTimes.record(now - accepted) }
        case .failed(let code):
            totals.failed &+= 1
            totals.failures[code, default: 0] &+= 1
            failures.failed(.init(sender: transfer.senderName, recipient: transfer.recipient), now: now)
        }
    }

    /// Hands `token` out, if what it was made for still stands.
    mutating func tokenMinted(
        _ token: Token, for request: TokenRequest, isAnnounced: Bool, _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        let id = request.transfer
        // No node is to find a token that was made in vain.
        let void = BrokerAction.announce(.void(TokenDigest(token)))
        guard let transfer = transfers[id] else { return [void] }
        let hidden = isAnnounced ? [] : change(id, &sessions, now: now) { $0.tokenStaysHidden() }
        switch tokens.minted(token, for: request, now: now) {
        case .unwanted: return [void]
        // Room was kept for it; were there none all the same, there would be no stream.
        case .noRoom: return [void] + change(id, &sessions, now: now) { $0.streamCut(.unavailable, now: now) }
        case .issued(.download(let session, let request)):
            return hidden
                + sessions.notify(session, .start(request, id, token, expires: limits.timing.token.wholeSeconds))
        case .issued(.upload(let payload)):
            // The receiver's request is held no longer than this.
            let expires = min(limits.timing.token, limits.timing.transfer.attach).wholeSeconds
            let start = ServerMessage.Start(
                id: transfer.offerID, transfer: id, role: .upload, token: token,
                url: (halves[id].publicURL?.rawValue ?? "") + "/upload", expires: expires, payload: payload
            )
            return hidden + [.send(transfer.sender, .start(start))]
        }
    }

    // MARK: - Streams

    /// The byte path of `holder` reports about `transfer`. A node that holds no half of it has nothing to report.
    mutating func streamChanged(
        _ transfer: TransferID, _ event: StreamEvent, on holder: NodeID, _ publicURL: PublicURL?,
        _ sessions: inout SessionTable, now: NIODeadline
    ) -> [BrokerAction] {
        let isHeld = halves[transfer].has(holder)
        switch event {
        case .downloadParked: return downloadParked(transfer, on: holder, publicURL, &sessions, now: now)
        case .joined where isHeld:
            if case .parked? = transfers[transfer]?.state, let accepted = transfers[transfer]?.acceptedAt {
                totals.pairTimes.record(now - accepted)
            }
            return change(transfer, &sessions, now: now) { $0.streamJoined() }
        case .finished where isHeld: return change(transfer, &sessions, now: now) { $0.streamFinished(now: now) }
        case .cut(let code, _) where isHeld:
            return change(transfer, &sessions, now: now) { $0.streamCut(code, now: now) }
        case .joined, .finished, .cut: return []
        }
    }

    /// The receiver's request is held by `holder`.
    private mutating func downloadParked(
        _ transfer: TransferID, on holder: NodeID, _ publicURL: PublicURL?, _ sessions: inout SessionTable,
        now: NIODeadline
    ) -> [BrokerAction] {
        guard halves[transfer].download == holder, case .accepted? = transfers[transfer]?.state else {
            // The report came too late: the transfer has ended, and nothing else would end the stream.
            return endStream(of: transfer, on: holder, .failed(.expired))
        }
        halves.parked(transfer, at: publicURL)
        // Without a token for the sender there will be no stream.
        let canGoOn = tokens.hasRoom(now: now)
        return change(transfer, &sessions, now: now) {
            canGoOn ? $0.downloadParked(now: now) : $0.streamCut(.unavailable, now: now)
        }
    }

    private func endStream(of id: TransferID, on holder: NodeID, _ outcome: TransferOutcome) -> [BrokerAction] {
        holder == node
            ? [.endStream(StreamKey(home: node, transfer: id), outcome)]
            : [.tell(holder, .abort(transfer: id, outcome))]
    }

    /// Uses the token of `digest` up for the half `role`, which `asker` is about to hold; nil when it is no good. See
    /// ``TokenLedger/claim(_:as:now:)``.
    mutating func claim(
        _ digest: TokenDigest, as role: TransferRole, by asker: NodeID, now: NIODeadline
    ) -> StreamClaim? {
        guard let transfer = tokens.claim(digest, as: role, now: now) else { return nil }
        halves.claimed(transfer, role, by: asker)
        return StreamClaim(
            stream: StreamKey(home: node, transfer: transfer), download: halves[transfer].download ?? asker
        )
    }

    /// Deadlines may have passed.
    mutating func timerFired(_ sessions: inout SessionTable, now: NIODeadline) -> [BrokerAction] {
        tokens.sweep(now: now)
        var actions: [BrokerAction] = []
        while let due = transfers.popDue(now: now) {
            actions += change(due, &sessions, now: now) { $0.deadlinePassed(now: now) }
        }
        return actions
    }

    /// The sessions of `lost`, and the halves that it held, are gone.
    mutating func nodeLost(_ lost: NodeID, _ sessions: inout SessionTable, now: NIODeadline) -> [BrokerAction] {
        var actions: [BrokerAction] = []
        for (session, transfer) in remoteSessions.transfers(ofNode: lost) {
            actions += change(transfer, &sessions, now: now) { $0.sessionClosed(session, .nodeLost) }
        }
        for transfer in halves.transfers(on: lost) {
            actions += change(transfer, &sessions, now: now) { $0.streamCut(.clusterUnavailable, now: now) }
        }
        return actions
    }
}

extension TimeAmount {
    var wholeSeconds: Int { Int(nanoseconds / 1_000_000_000) }
}

/// On which nodes the halves of this home's streams are, as far as their tokens have been claimed.
struct StreamHalves: Sendable {
    /// The halves of one stream.
    struct Halves: Hashable, Sendable {
        fileprivate(set) var download: NodeID?
        fileprivate(set) var upload: NodeID?
        /// The own address for clients of the node that holds the download, if it has one.
        fileprivate(set) var publicURL: PublicURL?

        /// Whether `node` holds either half.
        func has(_ node: NodeID) -> Bool { download == node || upload == node }

        /// Each node that holds a half, once.
        var nodes: [NodeID] { [download, upload == download ? nil : upload].compactMap { $0 } }
    }

    private(set) var streams: [TransferID: Halves] = [:]

    subscript(transfer: TransferID) -> Halves { streams[transfer] ?? Halves() }

    /// The transfers of which `node` holds a half.
    func transfers(on node: NodeID) -> [TransferID] { streams.filter { $0.value.has(node) }.keys.inOrder() }

    /// `node` has claimed the token of a half, and is about to hold it.
    mutating func claimed(_ transfer: TransferID, _ role: TransferRole, by node: NodeID) {
        switch role {
        case .download: streams[transfer, default: Halves()].download = node
        case .upload: streams[transfer, default: Halves()].upload = node
        }
    }

    /// Clients reach the node that holds the download at `publicURL`.
    mutating func parked(_ transfer: TransferID, at publicURL: PublicURL?) {
        streams[transfer]?.publicURL = publicURL
    }

    /// The transfer is over.
    mutating func forget(_ transfer: TransferID) { streams[transfer] = nil }
}
