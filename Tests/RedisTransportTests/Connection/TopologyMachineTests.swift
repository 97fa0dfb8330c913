// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct TopologyMachineTests {
    private typealias Action = TopologyMachine.Action

    /// What happens to a machine, and what it has to answer.
    private enum Step {
        case begin(Action)
        case answers(String, SentinelAnswer, Action)
        case askingEnds(Action)
        case redirected(to: String, by: String, Action)
        case moved(to: String)
        case fails(String)
        case connects(String, nodes: [String], isCluster: Bool)

        /// The machine's answer, and the expected one.
        func run(_ machine: inout TopologyMachine) throws -> (is: Action, shouldBe: Action) {
            switch self {
            case .begin(let action): return (machine.begin(), action)
            case .answers(let sentinel, let answer, let action):
                return (machine.answered(by: try .test(sentinel), answer), action)
            case .askingEnds(let action): return (machine.askingEnded(), action)
            case .redirected(let server, let other, let action):
                return (machine.redirected(to: try .test(server), by: try .test(other)), action)
            case .moved(let server): machine.moved(to: try .test(server))
            case .fails(let server): machine.failed(try .test(server))
            case .connects(let server, let nodes, let isCluster):
                machine.connected(to: try .test(server), nodes: try nodes.map { try .test($0) }, isCluster: isCluster)
            }
            return (.none, .none)
        }
    }

    private func check(_ url: String, _ steps: [Step], at line: Int = #line) throws {
        var machine = TopologyMachine(try RedisURL(url))
        for (number, step) in steps.enumerated() {
            let found = try step.run(&machine)
            #expect(found.is == found.shouldBe, "line \(line), step \(number): \(step)")
        }
    }

    private func dial(_ text: String) throws -> Action { .dial(try .test(text)) }
    private func master(_ text: String) throws -> SentinelAnswer { .master(try .test(text)) }

    private let unreachable = Action.fail(RedisError(.unreachable))
    private let away = SentinelAnswer.failed(RedisError(.unreachable, "refused"))

    @Test func oneServerIsTriedAgainAndAgain() throws {
        try check(
            "redis://h:1",
            [
                .begin(dial("h:1")), .fails("h:1"), .begin(dial("h:1")), .fails("h:1"), .begin(dial("h:1")),
                .connects("h:1", nodes: [], isCluster: false), .begin(dial("h:1")),
                // No Sentinel was asked.
                .answers("h:1", master("h:2"), .none), .askingEnds(.none),
            ])
    }

    @Test func aClusterIsFollowedToWhereItsSlotIs() throws {
        try check(
            "redis://h:1",
            [
                .begin(dial("h:1")), .redirected(to: "h:2", by: "h:1", dial("h:2")),
                .connects("h:2", nodes: ["h:1", "h:2", "h:3"], isCluster: true),
                // It broke: the same one first.
                .begin(dial("h:2")), .fails("h:2"),
                // It is dead: the others, and this one again only after they were tried.
                .begin(dial("h:3")), .fails("h:3"), .begin(dial("h:1")), .redirected(to: "h:3", by: "h:1", dial("h:3")),
                .connects("h:3", nodes: ["h:1", "h:3"], isCluster: true), .moved(to: "h:4"), .begin(dial("h:4")),
            ])
    }

    @Test func theFirstNodesMayBeGoneAsLongAsOneWasReachedOnce() throws {
        try check(
            "redis://seed:1",
            [
                .begin(dial("seed:1")), .connects("seed:1", nodes: ["a:1", "b:1"], isCluster: true),
                .begin(dial("seed:1")), .fails("seed:1"), .begin(dial("a:1")), .fails("a:1"), .begin(dial("b:1")),
            ])
        // Every one of them has its turn, the URL's too.
        var machine = TopologyMachine(try RedisURL("redis://seed:1"))
        machine.connected(to: try .test("a:1"), nodes: try ["a:1", "b:1"].map { try .test($0) }, isCluster: true)
        var tried: Set<RedisEndpoint> = []
        for _ in 0..<6 {
            guard case .dial(let server) = machine.begin() else { continue }
            tried.insert(server)
            machine.failed(server)
        }
        #expect(tried == Set(try ["a:1", "b:1", "seed:1"].map { try .test($0) }))
    }

    @Test func aLoopOfRedirectionsEnds() throws {
        var machine = TopologyMachine(try RedisURL("redis://a:1"))
        var (here, other) = (try RedisEndpoint.test("a:1"), try RedisEndpoint.test("b:1"))
        for _ in 0..<2 {
            #expect(machine.begin() == .dial(here))
            for _ in 0..<RedisDefaults.redirects {
                #expect(machine.redirected(to: other, by: here) == .dial(other))
                swap(&here, &other)
            }
            #expect(machine.redirected(to: other, by: here) == unreachable)
            // It begins anew at the other end of the list, after a pause that the connection makes.
            here = try .test("a:1")
            other = try .test("b:1")
            machine.failed(other)
        }
        try check("redis://a:1", [.begin(dial("a:1")), .redirected(to: "a:1", by: "a:1", unreachable)])
    }

    @Test func aServerCanNameOnlySoManyOthers() throws {
        var machine = TopologyMachine(try RedisURL("redis://seed:1"))
        let many = (1...1000).compactMap { RedisEndpoint(host: "h\($0)", port: 1) }
        machine.connected(to: try .test("seed:1"), nodes: many, isCluster: true)
        var tried: Set<RedisEndpoint> = []
        for _ in 0..<3000 {
            guard case .dial(let server) = machine.begin() else { continue }
            tried.insert(server)
            machine.failed(server)
        }
        #expect(tried.count == RedisDefaults.clusterNodes + 1)
        #expect(try tried.contains(.test("seed:1")))
    }

    private let sentinels = "redis+sentinel://s:1,s:2,s:3/main"

    private func ask() throws -> Step { .begin(.ask(try ["s:1", "s:2", "s:3"].map { try .test($0) })) }

    @Test func mostSentinelsDecideAndNoneIsWaitedFor() throws {
        try check(
            sentinels,
            [ask(), .answers("s:2", master("m:1"), .none), .answers("s:1", master("m:1"), dial("m:1"))]
                // Too late.
                + [.answers("s:3", master("m:2"), .none), .askingEnds(.none)])
        // One of three that lies, or has not heard of the failover.
        try check(
            sentinels,
            [
                ask(), .answers("s:1", master("evil:1"), .none), .answers("s:2", master("m:1"), .none),
                .answers("s:3", master("m:1"), dial("m:1")),
            ])
        // Nor does it help to answer twice, or to be no Sentinel of the URL.
        try check(
            sentinels,
            [
                ask(), .answers("s:1", master("evil:1"), .none), .answers("s:1", master("evil:1"), .none),
                .answers("x:1", master("evil:1"), .none), .answers("s:3", master("m:1"), .none),
                .answers("s:2", master("m:1"), dial("m:1")),
            ])
        try check(
            "redis+sentinel://s:1/main", [.begin(.ask([.test("s:1")])), .answers("s:1", master("m:1"), dial("m:1"))])
    }

    @Test func whatIsLeftOfTheSentinelsIsBelieved() throws {
        try check(
            sentinels,
            [
                ask(), .answers("s:1", away, .none), .answers("s:2", master("m:1"), .none),
                .answers("s:3", away, dial("m:1")),
            ])
        try check(sentinels, [ask(), .answers("s:3", master("m:1"), .none), .askingEnds(dial("m:1"))])
        // They do not agree: the first in the URL.
        try check(
            sentinels,
            [
                ask(), .answers("s:3", master("m:3"), .none), .answers("s:2", master("m:2"), .none),
                .answers("s:1", away, dial("m:2")),
            ])
    }

    @Test func withoutAnAnswerTheAttemptFailsInWords() throws {
        try check(
            sentinels,
            [
                ask(), .answers("s:1", away, .none), .answers("s:2", away, .none), .answers("s:3", away, unreachable),
                // And the next one begins anew.
                ask(), .answers("s:1", master("m:1"), .none), .answers("s:2", master("m:1"), dial("m:1")),
            ])
        try check(sentinels, [ask(), .askingEnds(unreachable)])
        try check(
            sentinels,
            [
                ask(), .answers("s:1", .unknown, .none), .answers("s:2", .unknown, .none),
                .answers("s:3", away, .refuse(.noSuchMaster("main"))),
            ])
        // One that knows nothing of it may just have been started: that is no reason to refuse a start.
        try check(
            sentinels,
            [ask(), .answers("s:1", .unknown, .none), .answers("s:2", away, .none), .answers("s:3", away, unreachable)])
        try check(
            sentinels,
            [
                ask(), .answers("s:1", away, .none), .answers("s:2", .refused(.sentinelPassword), .none),
                .answers("s:3", away, .refuse(.sentinelPassword)),
            ])
    }

    @Test func theMasterOfSentinelsIsNotFollowedElsewhere() throws {
        try check(
            sentinels,
            [
                ask(), .answers("s:1", master("m:1"), .none), .answers("s:2", master("m:1"), dial("m:1")),
                .redirected(to: "evil:1", by: "m:1", unreachable), .moved(to: "evil:1"), ask(),
            ])
    }
}
