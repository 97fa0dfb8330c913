// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayServerProgram

@Suite("The states of a drain")
struct DrainMachineTests {
    private typealias Event = @Sendable (inout DrainMachine) -> DrainMachine.Action

    @Test("every event has one outcome in every state")
    func everyCellOfTheDrainMachine() {
        let events: [(name: String, run: Event)] = [
            ("signalled", { $0.signalled() }), ("drainRequested", { $0.drainRequested() }),
            ("becameIdle", { $0.becameIdle() }), ("deadlinePassed", { $0.deadlinePassed() }),
            ("handedOver", { $0.handedOver() }),
        ]
        let table: [DrainMachine.State: [(DrainMachine.Action, DrainMachine.State)]] = [
            .serving: [
                (.beginDrain, .draining), (.beginDrain, .draining), (.nothing, .serving), (.nothing, .serving),
                (.leave, .handedOver),
            ],
            .draining: [
                (.stop(.hurried), .stopping), (.nothing, .draining), (.stop(.finished), .stopping),
                (.stop(.deadline), .stopping), (.nothing, .draining),
            ],
            .handedOver: [
                (.limitTime, .draining), (.nothing, .handedOver), (.stop(.finished), .stopping),
                (.stop(.deadline), .stopping), (.nothing, .handedOver),
            ],
            .stopping: Array(repeating: (.nothing, .stopping), count: 5),
        ]
        for state in DrainMachine.State.allCases {
            for (event, expected) in zip(events, table[state] ?? []) {
                var machine = DrainMachine(state)
                #expect(event.run(&machine) == expected.0, "\(state) × \(event.name)")
                #expect(machine.state == expected.1, "\(state) × \(event.name)")
            }
            #expect(table[state]?.count == events.count)
        }
    }
}
