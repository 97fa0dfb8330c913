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

    @Test(arguments: scenarios) func noReachableStateBreaksAnInvariant(_ scenario: ModelScenario) {
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

    private static let scenarios: [ModelScenario] = [
        ModelScenario(name: "both tokens are shown on two nodes at once", bobs: [1], floor: 1_500),
        ModelScenario(
            name: "a token is shown twice, and a side gives up", bobs: [1], uploads: [2],
            surprises: [.giveUp, .cutStream, .cancel, .leave, .timer, .early], budget: 1, floor: 15_000
        ),
        ModelScenario(
            name: "two sessions accept, one of them at home", bobs: [0, 1], downloads: [2], uploads: [1],
            surprises: [.decline, .cancel, .leave, .drain, .timer], budget: 1, floor: 14_000
        ),
        ModelScenario(
            name: "a node or a link is lost", downloads: [2], uploads: [1], successor: "bob",
            surprises: [.cut, .crash], budget: 1, floor: 39_000
        ),
        ModelScenario(
            name: "another process has the same session numbers", bobs: [1], isOfferFirst: true, downloads: [2],
            uploads: [0], successor: "carol", surprises: [.crash, .cut, .loseLook, .repeatLook, .leave], budget: 2,
            floor: 35_000
        ),
        ModelScenario(
            name: "what Redis says is lost, repeated or out of date", isOfferFirst: true, downloads: [], uploads: [],
            surprises: [.cut, .loseLook, .repeatLook, .leave, .drain, .decline], budget: 1, floor: 14_000
        ),
        ModelScenario(
            name: "an offer answers a request", isPull: true, downloads: [], uploads: [], successor: "bob",
            surprises: [.withdraw, .leave, .cut, .crash, .drain, .decline, .timer], budget: 1, floor: 9_000
        ),
        ModelScenario(
            name: "links break their promise", downloads: [2], uploads: [1],
            surprises: [.lose, .duplicate, .reorder], budget: 1, floor: 9_000
        ),
    ]
}
