// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayServerProgram

@Suite("The order of start and stop")
struct StartOrderTests {
    private struct Fault: Error {}

    /// Notes its starts and stops.
    private struct Part: ServerPart {
        let name: String
        let log: EventLog
        var fails = false

        func start() throws {
            if fails { throw Fault() }
            log.append("start \(name)")
        }

        func stop() { log.append("stop \(name)") }
    }

    private let log = EventLog()

    private func order(failing: String? = nil) -> StartOrder {
        StartOrder(["a", "b", "c"].map { Part(name: $0, log: log, fails: $0 == failing) })
    }

    @Test("parts stop in the reverse order of their start")
    func reverse() async throws {
        try await order().run { log.append("serve") }
        #expect(log.all == ["start a", "start b", "start c", "serve", "stop c", "stop b", "stop a"])
    }

    @Test("when a part cannot start, those that have started stop in reverse, and the others never start")
    func failingStart() async {
        await #expect(throws: Fault.self) { try await order(failing: "c").run { log.append("serve") } }
        #expect(log.all == ["start a", "start b", "stop b", "stop a"])
    }

    @Test("when the first part cannot start, nothing stops")
    func failingFirst() async {
        await #expect(throws: Fault.self) { try await order(failing: "a").run { log.append("serve") } }
        #expect(log.all.isEmpty)
    }

    @Test("when serving fails, all parts stop in reverse")
    func failingBody() async {
        await #expect(throws: Fault.self) { try await order().run { throw Fault() } }
        #expect(log.all == ["start a", "start b", "start c", "stop c", "stop b", "stop a"])
    }
}
