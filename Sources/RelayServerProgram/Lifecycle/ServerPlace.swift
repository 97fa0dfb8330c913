// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayNode
import ServerSystem
import TransferBroker
import WSProtocol

/// The place that a running server has: its listeners, its sessions and its users' registry.
struct ServerPlace: Replaced {
    let parts: ServerParts
    let coordinator: DrainCoordinator
    let users: any UserAdministration
    /// Where the bytes of the day are written down.
    let traffic: any TrafficStore
    /// Where time is waited for.
    let loop: any EventLoop

    var isServing: Bool { coordinator.state == .serving }

    func sockets() async -> [InheritedSockets.Socket] {
        var sockets: [InheritedSockets.Socket] = []
        for listener in listeners {
            guard let descriptor = await listener.socket.duplicate() else { continue }
            sockets.append(
                InheritedSockets.Socket(
                    purpose: listener.purpose, address: listener.configured, descriptor: descriptor))
        }
        return sockets
    }

    var names: [PeerName] { Array(parts.transfers.broker.namesThere) }

    func hold() async {
        let broker = parts.transfers.broker
        // A token's connection would come to the new process, which knows nothing of it. Most of the time there is a
        // moment at which none is expected; where many begin, no new one is handed out until the last has come.
        if await !soon(Defaults.Handover.quietWait, { broker.holdIfQuiet() }) {
            broker.hold(true)
            _ = await soon(Defaults.Handover.quietWaitHeld) { broker.isQuiet }
        }
        parts.transfers.admission.stop(.leaving)
        for listener in listeners { await listener.socket.pause() }
        // Who is about to log in here may have to be written down here. What comes now waits in the kernel's queue.
        _ = await soon(Defaults.Handover.newcomersWait) { !parts.transfers.admission.hasNewcomers }
        await (users as? FileUserDirectory)?.setFrozen(true)
        // The other process goes on from what is written down here; what this one counts after that is lost with it.
        let end = NIODeadline.now() + Defaults.Handover.quietWait
        while await !parts.transfers.traffic.flush(), NIODeadline.now() < end { await pause() }
        (traffic as? TrafficFile)?.setFrozen(true)
    }

    func release() async {
        (traffic as? TrafficFile)?.setFrozen(false)
        await (users as? FileUserDirectory)?.setFrozen(false)
        parts.transfers.broker.hold(false)
        // It may have been told to stop meanwhile.
        parts.transfers.admission.stop(isServing ? .none : .draining)
        for listener in listeners { try? await listener.socket.accept() }
    }

    func leave() {
        parts.admin.handOver()
        coordinator.handedOver { [listeners] in for listener in listeners { await listener.socket.close() } }
    }

    private var listeners: [ClientListeners.Listener] {
        let metrics = parts.metrics.map {
            ClientListeners.Listener(purpose: .metrics, configured: $0.configured, socket: $0.socket)
        }
        let admin = ClientListeners.Listener(purpose: .admin, configured: AdminSocket.name, socket: parts.admin.socket)
        return parts.listeners.all + [metrics, admin].compactMap(\.self)
    }

    /// Asks until `condition` holds, for `time` at most; returns whether it does.
    private func soon(_ time: TimeAmount, _ condition: () -> Bool) async -> Bool {
        let end = NIODeadline.now() + time
        while !condition() {
            guard NIODeadline.now() < end else { return false }
            await pause()
        }
        return true
    }

    private func pause() async {
        try? await loop.scheduleTask(in: Defaults.Handover.quietStep) {}.futureResult.get()
    }
}
