// SPDX-License-Identifier: Apache-2.0

import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// What `receive` does with the policies of the profile.
@Suite(.timeLimit(.minutes(5))) struct StandingPolicyTests {
    private func fixture(
        isTrusting: Bool = false, maximumSize: UInt64? = nil, isAttended: Bool = true, _ policy: SenderPolicy? = nil
    ) throws -> ReceivingFixture {
        try ReceivingFixture(isTrusting: isTrusting, maximumSize: maximumSize, isAttended: isAttended) { store in
            try store.change(Samples.alice) { $0 = policy }
        }
    }

    /// Offers a file that is declined; the code and the sentence of that.
    private func refusal(_ receiving: ReceivingFixture, size: UInt64 = 7) async throws -> (FailureCode?, String) {
        let count = receiving.relay.declines.count
        _ = try receiving.ring(size: size, isKnown: false)
        await receiving.session.run { receiving.relay.declines.count > count }
        return (receiving.relay.declines.last?.code, try receiving.session.lines().last ?? "")
    }

    /// One transfer from its ring to its `received`.
    private func receive(_ receiving: ReceivingFixture, _ name: String = "file", size: UInt64 = 7) async throws {
        let count = try receiving.session.events("received").count
        try await receiving.start(try receiving.ring(name, size: size, isKnown: false))
        try receiving.complete()
        let said = receiving.relay.said.count { if case .delivered = $0 { true } else { false } }
        await receiving.session.run {
            receiving.relay.said.count { if case .delivered = $0 { true } else { false } } > said
        }
        if case .delivered(let delivered)? = receiving.relay.said.last(where: {
            if case .delivered = $0 { true } else { false }
        }) {
            receiving.relay.lines.last?.say([.ok(.init(id: delivered.id))])
        }
        try await receiving.session.run { try receiving.session.events("received").count > count }
    }

    @Test(arguments: [false, true]) func whatAPolicyAcceptsIsNotAskedAbout(isAttended: Bool) async throws {
        let receiving = try fixture(isAttended: isAttended, SenderPolicy(.accept))
        await receiving.present()
        try await receive(receiving)
        #expect(receiving.asked.questions.isEmpty)
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.folder.listing() == ["file"])
    }

    @Test(arguments: [false, true]) func whatAPolicyRefusesIsDeclinedAlsoWithYes(isTrusting: Bool) async throws {
        let receiving = try fixture(isTrusting: isTrusting, SenderPolicy(.refuse, folder: "/no/such/folder"))
        await receiving.present()
        let (code, line) = try await refusal(receiving)
        #expect(code == .declined && line.contains("the policy for alice is to refuse"))
        #expect(line.contains(#""code":"declined""#))
        #expect(receiving.asked.questions.isEmpty)
    }

    @Test func whatAPolicyAsksAboutIsAskedAlsoWithYes() async throws {
        let receiving = try fixture(isTrusting: true, SenderPolicy(.ask))
        await receiving.present()
        try await receive(receiving)
        #expect(receiving.asked.labels.map(\.name) == ["file"])
    }

    @Test(arguments: [SenderPolicy(.ask), nil]) func withoutATerminalWhatHasNoPolicyIsDeclinedAtOnce(
        policy: SenderPolicy?
    ) async throws {
        let receiving = try fixture(isAttended: false, policy)
        await receiving.present()
        let (code, line) = try await refusal(receiving)
        #expect(code == .declined && line.contains("relay-client peers policy alice accept"))
    }

    @Test func aPolicyThatChangesHoldsFromTheNextOfferOn() async throws {
        let receiving = try fixture(isTrusting: true)
        await receiving.present()
        try await receive(receiving)
        try receiving.policies.change(Samples.alice) { $0 = SenderPolicy(.refuse) }
        #expect(try await refusal(receiving).0 == .declined)
        try Data("damaged".utf8).write(to: URL(filePath: receiving.folder.temporary.file("policies") + "/policies"))
        let (code, line) = try await refusal(receiving)
        #expect(code == .cannotWrite && line.contains("damaged") && line.contains("warning"))
    }

    @Test func theSmallerSizeHolds() async throws {
        let receiving = try fixture(isTrusting: true, maximumSize: 100, SenderPolicy(.accept, maximumSize: 6))
        await receiving.present()
        let (code, line) = try await refusal(receiving)
        #expect(code == .tooLarge && line.contains("larger than the policy for alice allows"))
        let other = try fixture(maximumSize: 6, SenderPolicy(.accept, maximumSize: 100))
        await other.present()
        #expect(try await refusal(other).1.contains("it is larger than --max-size"))
    }

    @Test func aDayHasALimitThatOutlivesTheProcess() async throws {
        let receiving = try fixture(SenderPolicy(.accept, maximumDay: 20))
        await receiving.present()
        for _ in 0..<2 { try await receive(receiving) }
        let now = receiving.session.environment.sealing.time()
        #expect(try receiving.policies.bytesToday(from: Samples.alice, now: now) == 14)
        let (code, line) = try await refusal(receiving)
        #expect(code == .tooLarge && line.contains("on one day"))
        try await receive(receiving, "small", size: 6)
        #expect(
            try PolicyStore(receiving.folder.temporary.file("policies")).bytesToday(from: Samples.alice, now: now) == 20
        )
    }

    @Test func whatDidNotComeIsGivenBack() async throws {
        let receiving = try fixture(SenderPolicy(.accept, maximumDay: 20))
        await receiving.present()
        let transfer = try receiving.ring(size: 15, isKnown: false)
        try await receiving.start(transfer)
        let now = receiving.session.environment.sealing.time()
        #expect(try receiving.policies.bytesToday(from: Samples.alice, now: now) == 15)
        // While it comes, another one is too much.
        #expect(try await refusal(receiving).0 == .tooLarge)
        receiving.relay.lines.last?.say([
            .failed(.init(id: .sequence(.relay, 9), transfer: transfer, code: .sourceChanged, by: .peer))
        ])
        try await receiving.session.run { try receiving.session.events("failed", "restarted").count == 2 }
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try receiving.policies.bytesToday(from: Samples.alice, now: now) == 0)
        try await receive(receiving, size: 20)
    }

    @Test func whatComesGoesWhereThePolicySays() async throws {
        let other = try ReceivedFolder()
        let receiving = try fixture(SenderPolicy(.accept, folder: other.path))
        await receiving.present()
        // It is cut, and found again where it was.
        try await receiving.start(try receiving.ring())
        #expect(try receiving.folder.listing().isEmpty)
        #expect(try other.partial() != nil)
        try receiving.complete()
        await receiving.session.run {
            receiving.relay.said.contains { if case .delivered = $0 { true } else { false } }
        }
        #expect(try other.content(other.path + "/file") == "content")
        #expect(try receiving.folder.listing().isEmpty)
    }

    @Test func aFolderThatIsNotThereIsToldAndAnotherSenderLosesNothing() async throws {
        let receiving = try fixture(SenderPolicy(.accept, folder: "/no/such/folder"))
        await receiving.present()
        let (code, line) = try await refusal(receiving)
        #expect(code == .cannotWrite && line.contains("/no/such/folder"))
        try receiving.policies.change(Samples.alice) { $0 = SenderPolicy(.accept) }
        try await receive(receiving)
    }

    @Test func theCommandOfAPolicyRuns() async throws {
        let temporary = try ReceivedFolder()
        let command = try FileCommand(shell: "printf %s \"$RELAY_FROM\" >'\(temporary.path)/told'; exit 3")
        let receiving = try fixture(SenderPolicy(.accept, command: command))
        await receiving.present()
        try await receive(receiving)
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try temporary.content(temporary.path + "/told") == "alice")
        #expect(try receiving.folder.listing() == ["file"])
        let warning = try receiving.session.lines().last { $0.contains("warning") }
        #expect(warning?.contains("ended with status 3") == true && warning?.contains("which stays") == true)
    }

    @Test func aProgramIsRunWithoutAShell() async throws {
        let temporary = try ReceivedFolder()
        let command = try FileCommand("cp -- \"$RELAY_FILE\" '\(temporary.path)'/${RELAY_SIZE}-copy")
        let receiving = try fixture(SenderPolicy(.accept, command: command))
        await receiving.present()
        try await receive(receiving, "$(touch owned); `x` \"y\"")
        for part in receiving.session.session.parts { await part.stopped() }
        #expect(try temporary.listing() == ["7-copy"])
    }
}
