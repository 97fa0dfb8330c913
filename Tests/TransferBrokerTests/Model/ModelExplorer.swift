// SPDX-License-Identifier: Apache-2.0

@testable import TransferBroker

/// Goes through every state that a scenario can reach, once each, and stops at the first that should not be.
struct ModelExplorer {
    /// A state on the path that is being walked, with what has still to be tried in it.
    private struct Location {
        let world: ModelWorld
        let events: [ModelEvent]
        /// How many of `events` cost nothing.
        let usual: Int
        var next = 0
    }

    private(set) var states = 0
    /// Events that were tried.
    private(set) var steps = 0
    /// States in which nothing was on its way, and from which everything was let end.
    private(set) var endings = 0
    /// What is wrong, and how it came to that.
    private(set) var failure: String?
    private var seen: Set<Int> = []
    private var checkedBrokers: Set<Int> = []
    private var path: [Location] = []

    init(_ scenario: ModelScenario) {
        visit(ModelWorld(scenario))
        while failure == nil, let last = path.indices.last {
            guard path[last].next < path[last].events.count else {
                path.removeLast()
                continue
            }
            var world = path[last].world
            let event = path[last].events[path[last].next]
            if path[last].next >= path[last].usual { world.surprisesLeft -= 1 }
            path[last].next += 1
            steps += 1
            world.apply(event)
            visit(world)
        }
    }

    private mutating func visit(_ world: ModelWorld) {
        if let violation = world.violation { return fail(violation) }
        guard seen.insert(world.fingerprint).inserted else { return }
        states += 1
        for node in world.nodes where checkedBrokers.insert(node.fingerprint).inserted {
            if let broken = node.broker.brokenInvariant(now: world.now) {
                return fail("\(node.broker.node): \(broken)")
            }
        }
        if world.isQuiet {
            endings += 1
            if !world.scenario.isBroken, let disagreement = world.disagreement { return fail(disagreement) }
            if let violation = world.closed().violation { return fail("in the end: \(violation)") }
        }
        let step = world.step
        let usual = step.due + step.free
        path.append(Location(world: world, events: usual + step.surprising, usual: usual.count))
    }

    private mutating func fail(_ violation: String) {
        let events = path.map { place in "    \(place.events[place.next - 1])" }
        failure = ([violation] + events).joined(separator: "\n")
    }
}
