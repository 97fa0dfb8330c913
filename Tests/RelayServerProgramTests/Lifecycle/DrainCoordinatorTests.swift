// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import RelayServerProgram

@Suite("The drain of a server")
struct DrainCoordinatorTests {
    private let loop = EmbeddedEventLoop()

    private func coordinator(_ transfers: FakeTransfers) -> DrainCoordinator {
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        return DrainCoordinator(transfers, closing: nil, loop: loop, timeout: .seconds(30), logger: logger)
    }

    @Test("the drain is over at once when no transfer runs")
    func idle() throws {
        let transfers = FakeTransfers(transfers: 0)
        let coordinator = coordinator(transfers)
        coordinator.signalled()
        #expect(coordinator.state == .stopping)
        #expect(transfers.drains == 1)
    }

    @Test("the drain ends with the last transfer, and a second request changes nothing")
    func waits() throws {
        let transfers = FakeTransfers(transfers: 1)
        let coordinator = coordinator(transfers)
        coordinator.drainRequested()
        coordinator.drainRequested()
        loop.advanceTime(by: .seconds(29))
        #expect(coordinator.state == .draining)
        transfers.finish()
        #expect(coordinator.state == .stopping)
        #expect(transfers.drains == 1)
    }

    @Test("the drain ends at its deadline while a transfer runs")
    func deadline() throws {
        let transfers = FakeTransfers(transfers: 1)
        let coordinator = coordinator(transfers)
        coordinator.signalled()
        loop.advanceTime(by: .seconds(30))
        #expect(coordinator.state == .stopping)
        transfers.finish()
        #expect(coordinator.state == .stopping)
    }

    @Test("a second signal ends the drain while a transfer runs")
    func hurried() throws {
        let transfers = FakeTransfers(transfers: 1)
        let coordinator = coordinator(transfers)
        coordinator.signalled()
        #expect(coordinator.state == .draining)
        coordinator.signalled()
        #expect(coordinator.state == .stopping)
        transfers.finish()
        #expect(coordinator.state == .stopping)
    }
}

extension DrainCoordinatorTests {
    @Test("a server that was replaced gives its transfers time, until it is told to stop")
    func handedOver() throws {
        let transfers = FakeTransfers(transfers: 1)
        let coordinator = coordinator(transfers)
        coordinator.handedOver {}
        #expect(transfers.drains == 1)
        loop.advanceTime(by: .minutes(60))
        #expect(coordinator.state == .handedOver)
        coordinator.signalled()
        #expect(coordinator.state == .draining)
        loop.advanceTime(by: .seconds(30))
        #expect(coordinator.state == .stopping)
        transfers.finish()
    }
}

/// Transfers that finish when the test says so.
private final class FakeTransfers: Drainable {
    private struct State {
        var transfers: Int
        var drains = 0
        var callback: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>

    init(transfers: Int) { state = Mutex(State(transfers: transfers)) }

    /// How often the drain began.
    var drains: Int { state.withLock { $0.drains } }
    var activeTransfers: Int { state.withLock { $0.transfers } }

    func beginDrain() { state.withLock { $0.drains += 1 } }

    func beginLeave() { beginDrain() }

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
            // It keeps the coordinator, which keeps these.
            defer { state.callback = nil }
            return state.callback
        }
        callback?()
    }
}
