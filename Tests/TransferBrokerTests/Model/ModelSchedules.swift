// SPDX-License-Identifier: Apache-2.0

@testable import TransferBroker

/// Random schedules of random scenarios: longer, and with more surprises, than all of them could be gone through. Each
/// schedule depends on the seed and its own number alone.
struct ModelSchedules {
    /// A schedule that went wrong.
    struct Failure: CustomStringConvertible {
        let schedule: UInt64
        let violation: String
        let scenario: ModelScenario
        let events: [ModelEvent]

        var description: String {
            let lines = ["schedule \(schedule): \(violation)", "  in \(scenario)"] + events.map { "    \($0)" }
            return lines.joined(separator: "\n")
        }
    }

    let seed: UInt64
    private(set) var schedules: UInt64 = 0
    private(set) var steps: UInt64 = 0
    /// Schedules that ended while a client might still have acted.
    private(set) var early: UInt64 = 0
    private(set) var failure: Failure?
    /// The states of nodes whose invariants were looked at.
    private(set) var states = 0
    private let fault: ModelFault?
    private var checkedBrokers: Set<Int> = []

    /// No schedule is longer: what is due then is let happen.
    private static let longest = 400
    /// So many states are remembered, which is some 100 MiB.
    private static let mostRemembered = 4_000_000

    init(seed: UInt64, fault: ModelFault? = nil) {
        self.seed = seed
        self.fault = fault
    }

    /// Runs these schedules, or those until the first that goes wrong.
    mutating func run(_ numbers: Range<UInt64>) {
        for number in numbers where failure == nil { run(number) }
    }

    private mutating func run(_ number: UInt64) {
        var random = ModelRandom(seed: seed, schedule: number)
        let scenario = ModelScenario.random(using: &random)
        // One schedule lets messages wait until clients have done all that they can, another one the reverse.
        let weights = [12, 12, 4].map { Int.random(in: 1...$0, using: &random) }
        var world = ModelWorld(scenario, fault: fault)
        var events: [ModelEvent] = []
        var violation = broken(world)
        while violation == nil, events.count < Self.longest {
            let step = world.step
            if world.isQuiet, random.isOne(in: 32) {
                early += 1
                break
            }
            let kinds = [step.due, step.free, step.surprising]
            guard let kind = Self.drawn(kinds, weights, using: &random),
                let event = kinds[kind].randomElement(using: &random)
            else { break }
            if kind == 2 { world.surprisesLeft -= 1 }
            events.append(event)
            world.apply(event)
            violation = broken(world)
        }
        if violation == nil { violation = world.closed().violation.map { "in the end: \($0)" } }
        schedules += 1
        steps += UInt64(events.count)
        if let violation {
            failure = Failure(schedule: number, violation: violation, scenario: scenario, events: events)
        }
    }

    /// The index of one of the kinds that are not empty.
    private static func drawn(
        _ kinds: [[ModelEvent]], _ weights: [Int], using random: inout ModelRandom
    ) -> Int? {
        let possible = kinds.indices.filter { !kinds[$0].isEmpty }
        let total = possible.reduce(0) { $0 + weights[$1] }
        guard total > 0 else { return nil }
        var left = Int.random(in: 0..<total, using: &random)
        for kind in possible {
            if left < weights[kind] { return kind }
            left -= weights[kind]
        }
        return nil
    }

    private mutating func broken(_ world: ModelWorld) -> String? {
        if let violation = world.violation { return violation }
        for node in world.nodes where !checkedBrokers.contains(node.fingerprint) {
            if checkedBrokers.count == Self.mostRemembered { checkedBrokers = [] }
            checkedBrokers.insert(node.fingerprint)
            states += 1
            if let broken = node.broker.brokenInvariant(now: world.now) { return "\(node.broker.node): \(broken)" }
        }
        guard world.isQuiet, !world.scenario.isBroken else { return nil }
        return world.disagreement
    }
}
