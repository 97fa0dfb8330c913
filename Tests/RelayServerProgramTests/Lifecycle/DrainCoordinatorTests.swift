// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing
import WSProtocol

@testable import RelayServerProgram

@Suite("The end of a server")
struct DrainCoordinatorTests {
    private let loop = EmbeddedEventLoop()

    private func coordinator(_ broker: FakeExchange) -> DrainCoordinator {
        let parts = ServerParts(
            listeners: [], broker: broker, beginDrain: { broker.note("refuse") }, whenEmpty: { $0() }
        )
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        return DrainCoordinator(parts: parts, loop: loop, timeout: .seconds(30), logger: logger)
    }

    @Test("nothing runs: the drain is over at once")
    func idle() throws {
        let broker = FakeExchange(transfers: 0)
        let coordinator = coordinator(broker)
        coordinator.signalled()
        #expect(coordinator.state == .stopping)
        #expect(broker.notes == ["refuse", "drain"])
    }

    @Test("running transfers are waited for, and asking again changes nothing")
    func waits() throws {
        let broker = FakeExchange(transfers: 1)
        let coordinator = coordinator(broker)
        coordinator.drainRequested()
        coordinator.drainRequested()
        loop.advanceTime(by: .seconds(29))
        #expect(coordinator.state == .draining)
        broker.finish()
        #expect(coordinator.state == .stopping)
        #expect(broker.notes == ["refuse", "drain"])
    }

    @Test("but not for longer than the deadline")
    func deadline() throws {
        let coordinator = coordinator(FakeExchange(transfers: 1))
        coordinator.signalled()
        loop.advanceTime(by: .seconds(30))
        #expect(coordinator.state == .stopping)
    }

    @Test("and not after a second signal")
    func hurried() throws {
        let coordinator = coordinator(FakeExchange(transfers: 1))
        coordinator.signalled()
        #expect(coordinator.state == .draining)
        coordinator.signalled()
        #expect(coordinator.state == .stopping)
    }
}

/// Transfers that finish when the test says so.
private final class FakeExchange: Drainable {
    private struct State {
        var transfers: Int
        var notes: [String] = []
        var callback: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>

    init(transfers: Int) { state = Mutex(State(transfers: transfers)) }

    var notes: [String] { state.withLock { $0.notes } }
    var activeTransfers: Int { state.withLock { $0.transfers } }
    var connections: Int { 0 }

    func note(_ text: String) { state.withLock { $0.notes.append(text) } }

    func beginDrain() { note("drain") }

    func whenIdle(_ callback: @escaping @Sendable () -> Void) {
        let isIdle = state.withLock { state in
            if state.transfers > 0 { state.callback = callback }
            return state.transfers == 0
        }
        if isIdle { callback() }
    }

    func finish() {
        let callback = state.withLock { state in
            state.transfers = 0
            return state.callback
        }
        callback?()
    }

    func closeAllSessions(_: WebSocketCloseCode) { note("close") }

    func nameRemoved(_: PeerName) {}
}
