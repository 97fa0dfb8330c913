// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import RedisTransport
import RelayNode
package import ServerSystem
import Synchronization
import TransferBroker
import WSProtocol

/// Joining the cluster, renewing, and leaving it.
extension ClusterRouting {
    /// Takes this node's place in Redis, and keeps it from then on.
    ///
    /// - Parameters:
    ///   - address: where other nodes dial this one. It has to be bound by now.
    ///   - ownsAddress: whether no other process can be dialled there: that is what tells an earlier start of this node
    ///     at once from another that was given the same id.
    /// An unreachable Redis is no error: the node joins when it comes back.
    /// - Throws: ``OperatorError`` in words when Redis refuses this node, or when another live process has its id.
    package func start(
        at address: ListenAddress, ownsAddress: Bool, _ delegate: any ClusterRoutingDelegate
    ) async throws(OperatorError) {
        try await probe()
        let promise = loop.makePromise(of: RoutingCore.StartOutcome.self)
        core.withLock { core in
            (core.delegate, core.start) = (delegate, promise)
            (core.publisher.address, core.publisher.ownsAddress) = (address, ownsAddress)
        }
        users.observe { [weak self] in self?.delegate?.userChanged($0, $1) }
        store.observe { [weak self] in self?.connectionChanged($0) }
        store.client.start()
        doorbell.start(
            Doorbell.Events(
                look: { [weak self] in self?.heard($0) }, listening: { [weak self] in self?.listening() },
                failed: { [weak self] in self?.listeningFailed($0) }
            )
        )
        let timers = [
            every(times.renewal) { $0.renew() },
            every(times.ticketLook) { $0.lookAtTickets() },
        ]
        // A start that has to wait for another process looks more often than a renewal is due.
        let claim = every(times.claimLook) { $0.lookAgain() }
        let giveUp = loop.scheduleTask(in: times.claim) { self.started(self.core.withLock { $0.lateOutcome }) }
        core.withLock { $0.timers = timers }
        let outcome = (try? await promise.futureResult.get()) ?? .away
        claim.cancel()
        giveUp.cancel()
        switch outcome {
        case .joined: logger.notice("joined the cluster", metadata: [LogKeys.node: "\(place.node)"])
        case .away: logger.warning("redis is away; the node joins the cluster when it is back")
        case .refused(let other):
            await stop()
            let place = other.map { " at \($0.address)" } ?? ""
            throw OperatorError(
                .configuration,
                "another live relay-server\(place) has the node id \(self.place.node): "
                    + "stop it, or choose another with --node-id"
            )
        case .forbidden(let words):
            await stop()
            throw OperatorError(
                .configuration,
                "\(store.settings.url.address): the Redis user may not do what a node does (\(words)): allow it scripts and "
                    + "what they run, PUBLISH, SUBSCRIBE, and the keys and channels relay:*"
            )
        }
    }

    private func probe() async throws(OperatorError) {
        let result = try? await RedisProbe.run(store.settings, on: loop).get()
        guard case .refused(let refusal) = result else { return }
        throw OperatorError(.configuration, "\(store.settings.url.address): \(refusal)")
    }

    /// Leaves: takes presence and routes away and tells the other nodes. Takes 2 s at most when Redis is away.
    package func stop() async {
        let promise = loop.makePromise(of: Void.self)
        let isOver = core.withLock { core in
            core.publisher.leave()
            for timer in core.timers { timer.cancel() }
            core.timers = []
            if core.publisher.state == .gone { return true }
            core.leave = promise
            return false
        }
        fail(nil)
        started(.away)
        if isOver {
            promise.succeed()
        } else {
            let timeout = loop.scheduleTask(in: Defaults.Routing.deadline) {
                self.core.withLock { $0.leave.take() }?.succeed()
            }
            loop.execute { self.pump() }
            try? await promise.futureResult.get()
            timeout.cancel()
            doorbell.ringAll(.nodes)
        }
        await doorbell.stop()
        try? await store.client.stop().get()
    }

    private func every(_ time: TimeAmount, _ body: @escaping @Sendable (ClusterRouting) -> Void) -> RepeatedTask {
        loop.scheduleRepeatedTask(initialDelay: time, delay: time) { [weak self] _ in
            guard let self else { return }
            body(self)
            self.pump()
        }
    }

    private func renew() {
        let isRoundOver = core.withLock { core in
            core.publisher.tick(now: .now())
            core.looks.retry()
            guard core.publisher.state == .held else { return false }
            core.looks.addNodes()
            for name in core.publisher.waiting { core.looks.addReceivers(of: name) }
            return core.names.isEmpty
        }
        let names = isRoundOver ? delegate?.names : nil
        core.withLock { core in
            if let names { core.names = names }
            for name in core.names.suffix(Defaults.Routing.usersPerRenewal) { core.looks.addUser(name) }
            core.names.removeLast(min(Defaults.Routing.usersPerRenewal, core.names.count))
        }
    }

    /// A user with a session here may have been removed, and the doorbell that said so was lost.
    func lookAtSessions() {
        let names = delegate?.names ?? []
        core.withLock { core in
            core.looks.retry()
            for name in names { core.looks.addUser(name) }
        }
    }

    private func lookAtTickets() { core.withLock { $0.looks.addTickets() } }

    private func lookAgain() { core.withLock { $0.publisher.lookAtEpoch() } }

    /// Messages come from now on, and doorbells may have been lost until now.
    private func listening() {
        joinIfComplete()
        lookAtSessions()
        core.withLock { core in
            core.publisher.lookAtEpoch()
            core.looks.addNodes()
            core.looks.addTickets()
            for name in core.publisher.waiting { core.looks.addReceivers(of: name) }
        }
        pump()
    }

    private func connectionChanged(_ isConnected: Bool) {
        if isConnected {
            joinIfComplete()
        } else {
            core.withLock { $0.publisher.disconnected() }
            fail(nil)
            started(.away)
        }
        pump()
    }

    /// Nothing is announced before doorbells can be heard: a node that rings because of it would ring in vain.
    private func joinIfComplete() {
        let isComplete = store.isConnected && doorbell.status.isListening
        core.withLock { core in
            if isComplete, core.publisher.state == .away { core.publisher.connected() }
        }
    }

    private func listeningFailed(_ error: any Error) {
        if let error = error as? RedisError, error.isForbidden { started(.forbidden("\(error)")) }
    }

    func presenceFailed(_ error: any Error) {
        guard let error = error as? ClusterUnavailable, error.cause == .forbidden else { return }
        started(.forbidden(error.reason))
    }

    package func started(_ outcome: RoutingCore.StartOutcome) {
        core.withLock { $0.start.take() }?.succeed(outcome)
    }

    package func joined(_ epoch: Epoch, others: Int) {
        self.epoch.joined(epoch, isShared: others > 0, now: .now())
        core.withLock { core in
            if others > 0 { core.awaited = others }
            core.rival = nil
            guard !core.hasArrived else { return }
            core.hasArrived = true
            core.tell(.nodes)
            core.looks.addTickets()
        }
        users.importLocal()
        started(.joined)
    }

    package func taken(_ presence: NodePresence?, isRenewed: Bool) {
        let (isStarting, complains) = core.withLock { core in
            core.rival = .some(presence)
            let now = NIODeadline.now()
            guard core.start == nil else {
                // What refuses the start says why; a look that is on its way by then adds nothing.
                if isRenewed { core.complained = now }
                return (true, false)
            }
            if let last = core.complained, now < last + Defaults.Routing.complaint { return (false, false) }
            core.complained = now
            return (false, true)
        }
        if isStarting, isRenewed { started(.refused(presence)) }
        guard complains else { return }
        logger.error(
            "another process has this node's id; this one serves alone until the other ends",
            metadata: [
                LogKeys.node: "\(place.node)", LogKeys.address: "\(presence.map { "\($0.address)" } ?? "unknown")",
            ]
        )
    }
}
