// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import ServerSystem
import TransferBroker
import WSProtocol
import WebSocketTransport

/// The relay's end of one control connection: text messages in, events of the ``SessionMachine`` and the
/// ``BrokerService``; messages out.
///
/// Has to be the last handler of the pipeline, behind `WebSocketHandler`.
final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let services: ControlServices
    private let verifier: LoginVerifier
    private var logger: Logger
    /// Nil until the connection is active.
    private var machine: SessionMachine?
    private var session: SessionID?
    private var requests = RequestQueue(capacity: Defaults.Control.waitingRequests)
    private var context: ChannelHandlerContext?
    private var loginTimer: Scheduled<Void>?
    private let client: ClientAddress
    /// Whose session it is, once a login holds.
    private var name: PeerName?
    private var hold = Hold.none
    private var isClosing = false
    private var progress = ProgressMeter()
    private var outbox = SessionOutbox(limits: Defaults.Unread.session)
    /// As much of the outbox as is counted among what the user leaves unread.
    private var countedBytes = 0
    private let loggedIn: () -> Void

    /// Why the connection is not read at the moment.
    private enum Hold {
        case none
        /// A message came before its time.
        case untilItsTime(Scheduled<Void>)
        /// No more requests can wait.
        case untilThereIsRoom
    }

    /// - Parameters:
    ///   - audience: the Host field of the upgrade request; logins are signed for it.
    ///   - client: where the client is.
    ///   - loggedIn: called once a login holds.
    init(
        services: ControlServices, audience: String, client: ClientAddress, loggedIn: @escaping () -> Void
    ) {
        self.client = client
        self.services = services
        self.verifier = LoginVerifier(
            directory: services.directory, audience: audience, limits: services.limits,
            openRegistration: services.registration == .open
                ? OpenRegistration(names: services.newNames, reports: services.reports, address: client.share) : nil
        )
        self.logger = services.logger
        self.loggedIn = loggedIn
        logger[metadataKey: LogKeys.remote] = "\(client.text)"
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end()
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let text = Self.unwrapInboundIn(data)
        let wait = services.budgets.reserve(
            MessageCost.ofReading(text.readableBytes), user: name, address: client.share, now: context.eventLoop.now
        )
        guard let wait else { return hear(text, context) }
        noteHeldBack(wait, context)
        let timer = context.eventLoop.assumeIsolated().scheduleTask(in: wait.time) { self.timeHasCome(for: text) }
        hold(.untilItsTime(timer), context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // The connection may linger for a close handshake; the session is over now.
        if case .closed(code: _, let reason)? = event as? WebSocketEvent {
            noteClosing(reason)
            end()
            release(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Sends what the broker has for the session.
    fileprivate func send(_ message: ServerMessage) { if let context { send(message, context) } }

    /// Closes the connection because the broker says so.
    fileprivate func close(_ code: WebSocketCloseCode) { if let context { close(code, context) } }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        sendWhatWaits(context)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("control connection failed", metadata: [LogKeys.error: "\(error)"])
        context.close(promise: nil)
    }

    // MARK: - Beginning and end

    private func begin(_ context: ChannelHandlerContext) {
        guard machine == nil else { return }
        let nonce = Nonce.random()
        let session = services.broker.connected(ControlSink(self, on: context.eventLoop), from: client.text)
        self.session = session
        logger[metadataKey: LogKeys.session] = "\(session)"
        machine = SessionMachine(
            nonce: nonce, loginTimeout: Defaults.Control.loginTimeout, now: context.eventLoop.now
        )
        loginTimer = context.eventLoop.assumeIsolated().scheduleTask(in: Defaults.Control.loginTimeout) {
            self.loginTimedOut()
        }
        let challenge = ServerMessage.Challenge(
            id: .sequence(.relay, 1), nonce: nonce, agent: services.agent, registration: services.registration
        )
        send(.challenge(challenge), context)
        logger.debug("control connection opened")
    }

    private func end() {
        loginTimer?.cancel()
        loginTimer = nil
        machine?.connectionClosed()
        if case .untilItsTime(let timer) = hold { timer.cancel() }
        outbox = SessionOutbox(limits: Defaults.Unread.session)
        _ = countUnread()
        guard let session else { return }
        self.session = nil
        services.broker.handle(.sessionClosed(session))
        logger.debug("control connection closed")
    }

    private func loginTimedOut() {
        loginTimer = nil
        guard let context else { return }
        run(machine?.timerFired(now: context.eventLoop.now) ?? .ignore, context)
    }

    // MARK: - Holding back

    private func hold(_ reason: Hold, _ context: ChannelHandlerContext) {
        hold = reason
        context.triggerUserOutboundEvent(WebSocketCommand.hold, promise: nil)
    }

    /// Reads on, whatever it waited for.
    private func release(_ context: ChannelHandlerContext) {
        switch hold {
        case .none: return
        case .untilItsTime(let timer): timer.cancel()
        case .untilThereIsRoom: break
        }
        hold = .none
        context.triggerUserOutboundEvent(WebSocketCommand.resume, promise: nil)
    }

    private func timeHasCome(for text: ByteBuffer) {
        guard let context, case .untilItsTime = hold else { return }
        hear(text, context)
        if case .untilItsTime = hold { release(context) }
    }

    private func noteHeldBack(_ wait: MessageBudgets.Wait, _ context: ChannelHandlerContext) {
        services.reports.heldBack(
            for: wait.time, by: Limit(.messages, of: wait.scope), name: name, address: client.share,
            now: context.eventLoop.now
        )
    }

    // MARK: - Running actions

    private func hear(_ text: ByteBuffer, _ context: ChannelHandlerContext) {
        let message = MessageCodec.decodeClientMessage(text)
        let units = MessageCost.ofDoing(message)
        if units > 0 {
            _ = services.budgets.reserve(units, user: name, address: client.share, now: context.eventLoop.now)
        }
        run(machine?.messageReceived(message) ?? .ignore, context)
        if !requests.hasRoom { hold(.untilThereIsRoom, context) }
    }

    private func run(_ action: SessionAction, _ context: ChannelHandlerContext) {
        switch action {
        case .ignore: break
        case .reply(let message): send(message, context)
        case .check(let attempt): check(attempt, context)
        case .admit(let user, let request): admit(user, request)
        case .pass(.progress(let report)) where !isPassed(report, context): break
        case .pass(let message) where !isWithinDay(message, context): break
        case .pass(let message): step(requests.requestReceived(message), context)
        case .close(let code, let message):
            if let message { send(message, context) }
            if code == .policyViolation {
                services.reports.met(Limit(.messagesBeforeLogin, of: .connection), address: client.share)
            }
            logger.info("control connection refused", metadata: [LogKeys.code: "\(code.rawValue)"])
            close(code, context)
        }
    }

    /// Whether a report of progress is looked at. Too many of the others end the session.
    private func isPassed(_ report: ClientMessage.Progress, _ context: ChannelHandlerContext) -> Bool {
        switch progress.reported(report.transfer, now: context.eventLoop.now) {
        case .passed: return true
        case .dropped: services.reports.progressDropped()
        case .excessive where !isClosing:
            services.reports.progressDropped()
            services.reports.met(Limit(.progress, of: .session), name: name, address: client.share)
            close(.policyViolation, context)
        case .excessive: break
        }
        return false
    }

    /// Whether the user, and the address, may begin to move more today. What goes on is not looked at.
    private func isWithinDay(_ message: ClientMessage, _ context: ChannelHandlerContext) -> Bool {
        guard message.leadsToContent, let name else { return true }
        let owner = Owner(name: name, address: client.share)
        guard let scope = services.traffic.excessOfDay(owner) else { return true }
        let refusal = LimitRefusal(Limit(.day, of: scope), of: owner)
        services.reports.met(refusal.limit, name: name, address: client.share)
        send(.refusal(message.id, refusal.code, refusal.message), context)
        return false
    }

    private func check(_ attempt: LoginAttempt, _ context: ChannelHandlerContext) {
        let verdict = context.eventLoop.makeFutureWithTask { [verifier] in await verifier.verdict(on: attempt) }
        verdict.assumeIsolated().whenSuccess { self.loginChecked($0) }
    }

    /// A login that holds is paid for by its user, and waits until that is possible: a user that connects again and
    /// again gets no further than one that stays. A login that does not hold is paid for by its address alone, as it
    /// may come from any client.
    private func loginChecked(_ verdict: LoginVerdict) {
        guard let context else { return }
        guard verdict == .accepted, case .checking(let attempt, deadline: _)? = machine?.state else {
            return run(machine?.loginChecked(verdict) ?? .ignore, context)
        }
        name = attempt.credentials.name
        let wait = services.budgets.reserve(
            Defaults.Messages.loginUnits, user: name, address: nil, now: context.eventLoop.now
        )
        guard let wait else { return run(machine?.loginChecked(verdict) ?? .ignore, context) }
        noteHeldBack(wait, context)
        context.eventLoop.assumeIsolated().scheduleTask(in: wait.time) {
            guard let context = self.context else { return }
            self.run(self.machine?.loginChecked(verdict) ?? .ignore, context)
        }
    }

    private func admit(_ credentials: Credentials, _ request: RequestID) {
        guard let session else { return }
        loginTimer?.cancel()
        loginTimer = nil
        loggedIn()
        let user = User(name: credentials.name, key: credentials.key)
        logger.debug("session opened", metadata: [LogKeys.name: "\(user.name)", LogKeys.agent: "\(credentials.agent)"])
        services.broker.handle(.sessionOpened(session, user, request, at: client.share))
    }

    /// Hands requests on until one has to wait, or none is left.
    private func step(_ first: RequestStep, _ context: ChannelHandlerContext) {
        var next = first
        while let session {
            switch next {
            case .nothing: return
            case .find(let name, let message): return find(name, for: message, context)
            case .run(let message):
                services.broker.handle(.requestReceived(message, from: session))
                next = requests.finished()
            }
        }
    }

    private func find(_ name: PeerName, for message: ClientMessage, _ context: ChannelHandlerContext) {
        let loop = context.eventLoop
        let directory = services.directory
        let cluster = services.broker.cluster
        let user = loop.makeFutureWithTask { try await directory.user(named: name) }
        let result =
            if case .request = message {
                user.and(cluster.sharers(of: name, on: loop))
                    .map { LookupResult(user: $0, elsewhere: .none, sharers: $1) }
            } else {
                user.and(cluster.receivers(of: name, on: loop)).map { LookupResult(user: $0, elsewhere: $1) }
            }
        result.assumeIsolated().whenComplete { self.found($0, for: message) }
    }

    private func found(_ found: Result<LookupResult, any Error>, for message: ClientMessage) {
        guard let context, let session else { return }
        switch found {
        case .success(let found):
            services.broker.handle(.requestReceived(message, from: session, found: found))
        case .failure(let error as ClusterUnavailable): send(.refusal(message.id, error.code), context)
        case .failure(let error):
            logger.error("the users' registry cannot be read", metadata: [LogKeys.error: "\(error)"])
            send(.refusal(message.id, .unavailable), context)
        }
        step(requests.finished(), context)
        if requests.hasRoom, case .untilThereIsRoom = hold { release(context) }
    }

    private func noteClosing(_ reason: WebSocketClosing) {
        guard case .violation(let violation) = reason else { return }
        services.reports.closed(violation.closeCode)
        if violation == .tooManyControlFrames {
            services.reports.met(Limit(.controlFrames, of: .connection), name: name, address: client.share)
        }
    }

    // MARK: - Messages out

    private func send(_ message: ServerMessage, _ context: ChannelHandlerContext) {
        var message = message
        if case .error(let refusal) = message { services.reports.refused(refusal.code) }
        if case .start(var start) = message, let name {
            // Nothing else tells a person that it is the relay that is slow, and not the network.
            start.rate = services.limits.rate(of: name, isAddressed: client.share != nil)
            message = .start(start)
        }
        if case .requested = message, !hasRoom(for: message) {
            // Who asks must not be able to fill up, and so end, a session that is slow to read: it asks again.
            services.reports.met(Limit(.unreadRequests, of: .session), name: name, address: client.share)
            return
        }
        let isWithinSessions = outbox.append(message)
        let excess = sendWhatWaits(context)
        guard !outbox.isEmpty, let scope = isWithinSessions ? excess : .session else { return }
        services.reports.met(Limit(.unread, of: scope), name: name, address: client.share)
        outbox = SessionOutbox(limits: Defaults.Unread.session)
        close(.policyViolation, context)
    }

    /// Whether a request may be added to what waits: it takes no more than half of what there may be.
    private func hasRoom(for message: ServerMessage) -> Bool {
        outbox.isLessThanHalfFull(with: message)
            && (name.map { services.unread.isLessThanHalfFull(of: $0, at: client.share) } ?? true)
    }

    /// Encodes what waits, as far as the connection takes it; says whose too much is unread, if it is.
    @discardableResult
    private func sendWhatWaits(_ context: ChannelHandlerContext, all: Bool = false) -> Limit.Scope? {
        var unflushed = 0
        while all || context.channel.isWritable, let message = outbox.next() {
            do {
                let text = try MessageCodec.encode(message)
                unflushed += text.readableBytes
                context.write(Self.wrapOutboundOut(text), promise: nil)
            } catch {
                close(.internalError, context)
                return nil
            }
            // Only what was flushed counts when it is asked whether there is room.
            if unflushed >= Defaults.Unread.flushBytes {
                unflushed = 0
                context.flush()
            }
        }
        if unflushed > 0 { context.flush() }
        return countUnread()
    }

    /// Brings up to date what the user leaves unread; says whose is too much, if it is.
    private func countUnread() -> Limit.Scope? {
        guard let name, outbox.bytes != countedBytes else { return nil }
        defer { countedBytes = outbox.bytes }
        return services.unread.add(outbox.bytes - countedBytes, of: name, at: client.share)
    }

    private func close(_ code: WebSocketCloseCode, _ context: ChannelHandlerContext) {
        defer { release(context) }
        if !isClosing { services.reports.closed(code) }
        isClosing = true
        // The client will not answer rings any more; all else goes out before the close frame.
        outbox.leaveOutRings()
        sendWhatWaits(context, all: true)
        context.triggerUserOutboundEvent(WebSocketCommand.close(code: code.rawValue), promise: nil)
    }
}

@available(*, unavailable)
extension ControlHandler: Sendable {}

/// Hands over what the broker has for a session to its handler, from any thread.
///
/// Always by way of the loop's queue, even on the loop itself: what is sent there at once would overtake what another
/// thread has queued a moment ago.
private struct ControlSink: SessionSink {
    private let handler: NIOLoopBound<ControlHandler>
    private let loop: any EventLoop

    init(_ handler: ControlHandler, on loop: any EventLoop) {
        self.handler = NIOLoopBound(handler, eventLoop: loop)
        self.loop = loop
    }

    func send(_ message: ServerMessage) { loop.execute { handler.value.send(message) } }

    func close(_ code: WebSocketCloseCode) { loop.execute { handler.value.close(code) } }
}
