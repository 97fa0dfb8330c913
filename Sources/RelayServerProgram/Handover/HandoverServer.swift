// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Glibc
import Logging
import ServerSystem
import Synchronization
import TransferBroker
import WSProtocol

/// Waits for the process that takes this one's place, and lets it.
final class HandoverServer: Sendable {
    private struct State {
        var listener: ProcessListener?
        var isHandedOver = false
        /// The command that asked for a restart gets an answer before this process leaves.
        var answer: DispatchSemaphore?
    }

    private let path: String
    private let lock: CInt
    private let state = Mutex(State())
    private let place: any Replaced
    private let manager: ServiceManager
    private let logger: Logger

    init(_ directory: StateDirectory, _ place: any Replaced, manager: ServiceManager, logger: Logger) {
        path = StateDirectory.path(of: HandoverMessage.socketName, in: directory.path)
        lock = directory.lock
        self.place = place
        self.manager = manager
        self.logger = logger
    }

    /// Waits from now on, on a thread of its own.
    /// - Throws: ``OperatorError`` when the socket cannot be made.
    func start() throws(OperatorError) {
        let listener: ProcessListener
        do {
            listener = try ProcessListener(path: path)
        } catch {
            throw OperatorError(.configuration, "cannot make the socket \(path): \(error)")
        }
        state.withLock { $0.listener = listener }
        DispatchQueue(label: "relay.handover").async { [self] in
            while let channel = listener.accept() {
                handOver(to: channel)
                if state.withLock({ $0.isHandedOver }) { return }
            }
        }
    }

    /// Waits no more. The socket's name is the other process's once there is one.
    func stop() {
        let (listener, isHandedOver) = state.withLock { ($0.listener, $0.isHandedOver) }
        guard let listener else { return }
        if !isHandedOver { unsafe unlink(path) }
        listener.stop()
    }

    /// Whether another process serves in this one's place, and has its files.
    var isHandedOver: Bool { state.withLock { $0.isHandedOver } }

    /// Starts a new process and waits until it has taken this one's place; blocks the thread.
    /// - Returns: its id.
    /// - Throws: ``OperatorError`` when it did not: this process goes on.
    func restart() throws(OperatorError) -> Int32 {
        let isFree = state.withLock { state in
            guard state.listener != nil, state.answer == nil, !state.isHandedOver else { return false }
            state.answer = DispatchSemaphore(value: 0)
            return true
        }
        guard isFree else {
            throw OperatorError(
                .refused,
                "this server is not restarted in place: it is a node of a cluster, or stops, or is being restarted"
            )
        }
        var process: Int32 = 0
        let outcome: Launch.Outcome
        do {
            outcome = try Launch(purpose: .successor, limit: Defaults.Handover.startTimeout).run { process = $0.id }
        } catch {
            replied()
            throw error
        }
        if case .serves = outcome, state.withLock({ $0.isHandedOver }) { return process }
        replied()
        var why = "it ended"
        if case .failed(let words, _) = outcome, !words.isEmpty { why = words }
        throw OperatorError(.unavailable, "the new process did not start, and the old one goes on: \(why)")
    }

    /// The answer to the command that asked for the restart is written.
    func replied() {
        let answer = state.withLock { state in
            defer { state.answer = nil }
            return state.answer
        }
        answer?.signal()
    }

    private func handOver(to channel: ProcessChannel) {
        guard let peer = channel.peer, peer.isOwn else {
            logger.warning("a process of another user asked for this one's place")
            return
        }
        let process: Logger.Metadata = [LogKeys.pid: "\(peer.process)"]
        guard case .take? = channel.hear(within: Defaults.Handover.exchangeTimeout) else { return }
        guard place.isServing else {
            try? channel.tell(.refused("it stops, and its address is free in a moment: start the new one then"))
            return
        }
        logger.notice("another process prepares to take over", metadata: process)
        guard giveSockets(to: channel) else { return goesOn(process, "it is gone") }
        let takesNames: Bool
        switch channel.hear(within: Defaults.Handover.prepareTimeout) {
        case .ready(let wish)?: takesNames = wish == true
        case .failed(let why)?: return goesOn(process, why)
        default: return goesOn(process, "it ended before it was ready")
        }
        waiting { [place] in await place.hold() }
        guard !takesNames || giveNames(to: channel), (try? channel.tell(.yours)) != nil else {
            return resume(process, "it is gone")
        }
        switch channel.hear(within: Defaults.Handover.serveTimeout) {
        case .serving?: break
        case .failed(let why)?: return resume(process, why)
        default: return resume(process, "it ended before it served")
        }
        let answer = state.withLock { state in
            state.isHandedOver = true
            return state.answer
        }
        manager.handOver(to: peer.process)
        // Should it be gone now, it was the one that served.
        try? channel.tell(.leaving)
        logger.notice("another process serves; running transfers finish here", metadata: process)
        _ = answer?.wait(timeout: .now() + .seconds(Defaults.Handover.answerTimeout))
        place.leave()
    }

    private func giveSockets(to channel: ProcessChannel) -> Bool {
        let sockets = Mutex<[InheritedSockets.Socket]>([])
        waiting { [place] in
            let found = await place.sockets()
            sockets.withLock { $0 = found }
        }
        let all = sockets.withLock { $0 }
        defer { for socket in all { close(socket.descriptor) } }
        let names = all.map { HandoverMessage.Socket(purpose: $0.purpose, address: $0.address) }
        return (try? channel.tell(.sockets(names), descriptors: [lock] + all.map(\.descriptor))) != nil
    }

    /// Tells who is there, so that no name is missed before its sessions have come over.
    private func giveNames(to channel: ProcessChannel) -> Bool {
        var names = place.names[...]
        while !names.isEmpty {
            guard (try? channel.tell(.names(Array(names.prefix(Defaults.Handover.namesAtOnce))))) != nil else {
                return false
            }
            names = names.dropFirst(Defaults.Handover.namesAtOnce)
        }
        return true
    }

    private func resume(_ process: Logger.Metadata, _ why: String) {
        waiting { [place] in await place.release() }
        goesOn(process, why)
    }

    private func goesOn(_ process: Logger.Metadata, _ why: String) {
        let metadata = process.merging([LogKeys.error: "\(why)"]) { _, new in new }
        logger.error("the other process did not take over: this one goes on", metadata: metadata)
    }

    /// Waits for `body` on this thread, which is none of the pool's.
    private func waiting(_ body: @escaping @Sendable () async -> Void) {
        let done = DispatchSemaphore(value: 0)
        Task {
            await body()
            done.signal()
        }
        done.wait()
    }
}

/// A server whose place another process can take.
protocol Replaced: Sendable {
    /// Whether it serves, and does not stop.
    var isServing: Bool { get }
    /// Its listening sockets, each as a new descriptor.
    func sockets() async -> [InheritedSockets.Socket]
    /// The names that are there to be rung.
    var names: [PeerName] { get }
    /// Stops accepting connections and writing state, at a moment at which no token waits for its connection if there
    /// is one soon.
    func hold() async
    /// Takes everything up again that ``hold()`` has stopped.
    func release() async
    /// Closes its listeners, lets running transfers finish, and ends.
    func leave()
}
