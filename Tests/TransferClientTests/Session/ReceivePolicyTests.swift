// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import TransferClient

@Suite struct ReceivePolicyTests {
    private let alice: PeerName
    private let carol: PeerName

    init() throws {
        alice = try #require(PeerName(rawValue: "alice"))
        carol = try #require(PeerName(rawValue: "carol"))
    }

    private func judge(
        _ policy: ReceivePolicy, _ standing: SenderPolicy? = nil, size: UInt64? = 10, today: UInt64 = 0
    ) -> ReceivePolicy.Verdict { policy.judge(from: alice, size: size, standing: standing, today: today) }

    @Test func withoutAPolicyTheCommandLineDecides() {
        #expect(judge(ReceivePolicy()) == .ask)
        #expect(judge(ReceivePolicy(isTrusting: true)) == .accept)
        #expect(judge(ReceivePolicy(from: [carol], isTrusting: true)) == .decline(.notNamed))
        let small = ReceivePolicy(isTrusting: true, maximumSize: 9)
        #expect(judge(small) == .decline(.tooLarge(limit: 9, isOfPolicy: false)))
        #expect(judge(small, size: nil) == .accept)
    }

    @Test(arguments: [false, true]) func aPolicyAnswersForItsSender(isTrusting: Bool) {
        let policy = ReceivePolicy(isTrusting: isTrusting)
        // Also where --yes would accept.
        #expect(judge(policy, SenderPolicy(.refuse)) == .decline(.policy))
        #expect(judge(policy, SenderPolicy(.ask)) == .ask)
        #expect(judge(policy, SenderPolicy(.accept)) == .accept)
    }

    @Test func theStricterLimitWins() {
        let flag = ReceivePolicy(from: [carol])
        #expect(judge(flag, SenderPolicy(.accept)) == .decline(.notNamed))
        for (limit, policyLimit) in [(9, 20), (20, 9), (9, 9)] as [(UInt64, UInt64)] {
            let policy = ReceivePolicy(maximumSize: limit)
            let standing = SenderPolicy(.accept, maximumSize: policyLimit)
            #expect(judge(policy, standing) == .decline(.tooLarge(limit: 9, isOfPolicy: limit > 9)))
            #expect(judge(policy, standing, size: 9) == .accept)
            #expect(policy.limit(standing: standing) == 9)
        }
        #expect(ReceivePolicy().limit(standing: nil) == nil)
        #expect(ReceivePolicy().limit(standing: SenderPolicy(.accept, maximumSize: 3)) == 3)
    }

    @Test func aDayHasALimit() {
        let standing = SenderPolicy(.accept, maximumDay: 30)
        func judged(_ size: UInt64?, _ today: UInt64) -> ReceivePolicy.Verdict {
            judge(ReceivePolicy(), standing, size: size, today: today)
        }
        let refused = ReceivePolicy.Verdict.decline(.tooMuchToday(limit: 30))
        #expect(judged(30, 0) == .accept && judged(31, 0) == refused && judged(10, 20) == .accept)
        #expect(judged(10, 21) == refused && judged(1, 30) == refused && judged(.max, .max) == refused)
        // What has no size may come as long as there is room, and what has no bytes needs none.
        #expect(judged(nil, 29) == .accept && judged(nil, 30) == refused && judged(0, 30) == .accept)
    }

    @Test func whatIsRefusedIsToldWithItsReason() {
        let refusals: [(ReceivePolicy.Refusal, FailureCode, String)] = [
            (.person, .declined, "it was declined; nothing to do"),
            (.notNamed, .declined, "it was declined, as --from names others; nothing to do"),
            (
                .policy, .declined,
                "it was declined, as the policy for alice is to refuse; to be asked again: relay-client peers policy "
                    + "alice ask"
            ),
            (
                .unattended, .declined,
                "it was declined, as there is no terminal to ask on; to take what alice sends: relay-client "
                    + "peers policy alice accept"
            ),
            (
                .tooLarge(limit: 3, isOfPolicy: false), .tooLarge,
                "it is larger than --max-size; raise --max-size to take it"
            ),
            (
                .tooLarge(limit: 3, isOfPolicy: true), .tooLarge,
                "it is larger than the policy for alice allows; to take it: relay-client peers policy alice --max-size "
                    + "SIZE"
            ),
            (
                .tooMuchToday(limit: 3), .tooLarge,
                "it is more than the policy for alice allows on one day; take it tomorrow, or: relay-client peers "
                    + "policy alice --max-day SIZE"
            ),
        ]
        for (refusal, code, words) in refusals {
            let failure = TransferFailure(refusing: refusal, from: alice)
            #expect(refusal.code == code && failure.code == code && failure.description == words)
            #expect(
                ClientError(receiving: .declined(code), cause: .transfer(failure), from: alice) == .transfer(failure))
        }
    }
}
