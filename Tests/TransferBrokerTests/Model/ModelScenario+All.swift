// SPDX-License-Identifier: Apache-2.0

extension ModelScenario {
    /// Those that are gone through completely.
    static let all: [ModelScenario] = [
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
