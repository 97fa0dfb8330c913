// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import TransferBroker

/// Everything that can happen to one transfer between three nodes, in every order. What is checked in each state is in
/// `ModelWorld+Clients.swift` and `BrokerInvariants.swift`, and what has to be left in the end in
/// `ModelWorld+Closing.swift`.
@Suite(.serialized) struct ClaimAndRoutingModelTests {
    /// How many surprises each path of each scenario may have, if not as many as written below.
    private static let budget = ProcessInfo.processInfo.environment["RELAY_MODEL_BUDGET"].flatMap { Int($0) }

    @Test(arguments: ModelScenario.all) func noReachableStateBreaksAnInvariant(_ scenario: ModelScenario) {
        var scenario = scenario
        scenario.budget = Self.budget ?? scenario.budget
        let explorer = ModelExplorer(scenario)
        #expect(explorer.failure == nil)
        #expect(explorer.endings > 0)
        if Self.budget == nil {
            #expect(explorer.states >= scenario.floor)
        } else {
            print("\(scenario.name): \(explorer.states) states, \(explorer.steps) steps, \(explorer.endings) endings")
        }
    }
}
