// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Crypto
import Foundation
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// `peers`, and `send --verify`.
@Suite(.timeLimit(.minutes(5))) struct PeersCommandTests {
    private let screen: Screen
    private let store: PeerStore
    private let bob: Party
    private let fingerprint: Fingerprint
    private let other: Fingerprint

    init() throws {
        screen = try Screen()
        store = PeerStore(screen.client.directory)
        bob = try Screen.person("bob")
        fingerprint = Fingerprint(of: bob.identity)
        other = Fingerprint(of: try Screen.person("other").identity)
    }

    private func met() throws { _ = try store.met(bob, now: 1_780_272_000_000) }

    private var isVerified: Bool? {
        get throws { try store.pin(of: bob.name)?.isVerified }
    }

    @Test func theListNamesEachPeer() throws {
        try PeersCommand.List.parse([]).list(screen.client)
        #expect(screen.take() == ("", "no peers are known; each is, from the first contact on\n"))
        try met()
        _ = try store.add(try Screen.person("ann").name, other, now: 1_780_272_000_000)
        try PeersCommand.List.parse([]).list(screen.client)
        let day = WallClock.local(1_780_272_000_000)
        #expect(
            screen.take() == (
                "ann  verified      \(other)  no contact yet, added \(day)\n"
                    + "bob  not verified  \(fingerprint)  since \(day)\n", ""
            ))
        try PeersCommand.List.parse(["--json"]).list(screen.client)
        #expect(
            screen.take().output == #"{"schema":1,"event":"peer","fingerprint":"\#(other)","met":false,"name":"ann","#
                + #""since":"2026-06-01T00:00:00Z","verified":true}"# + "\n"
                + #"{"schema":1,"event":"peer","fingerprint":"\#(fingerprint)","met":true,"name":"bob","#
                + #""since":"2026-06-01T00:00:00Z","verified":false}"# + "\n")
    }

    @Test func withoutAProfileThereIsNothingToShow() async throws {
        let bare = try Screen(hasProfile: false)
        for command in [
            { try PeersCommand.List.parse([]).list(bare.client) },
            { try PeersCommand.Add.parse(["bob", "\(fingerprint)"]).add(bare.client) },
            { try PeersCommand.Forget.parse(["bob"]).forget(bare.client) },
        ] { #expect(await Screen.error(command)?.status == .configuration) }
    }

    @Test func whoComparedAndAgreedIsVerified() async throws {
        try met()
        try await PeersCommand.Verify.parse(["bob"]).verify(screen.client) { question in
            #expect(question == "Do both of you see the same two?")
            return true
        }
        let own = try #require(try screen.client.profile().fingerprint)
        #expect(
            screen.take() == (
                "Read these to each other, on the phone for example:\n  bob          \(fingerprint)\n"
                    + "  alice (you)  \(own)\n", "bob is verified\n"
            ))
        #expect(try isVerified == true)
        // Not asked a second time.
        try await PeersCommand.Verify.parse(["bob"]).verify(screen.client, ask: nil)
        #expect(screen.take().errors == "bob is verified already\n")
        try await PeersCommand.Verify.parse(["bob", "--json"]).verify(screen.client, ask: nil)
        #expect(
            screen.take().output
                == #"{"schema":1,"event":"verify","fingerprint":"\#(fingerprint)","name":"bob","#
                + #""own":"\#(own)"}"# + "\n")
    }

    @Test(arguments: [false, nil] as [Bool?]) func whoDidNotAgreeIsNot(_ answer: Bool?) async throws {
        try met()
        let refused = await Screen.error {
            try await PeersCommand.Verify.parse(["bob"]).verify(screen.client) { _ in answer }
        }
        #expect(refused?.status == .refused && refused?.description.contains("bob is not verified") == true)
        #expect(try isVerified == false)
    }

    @Test func verifyingNeedsContactAndATerminal() async throws {
        let unknown = await Screen.error {
            try await PeersCommand.Verify.parse(["bob"]).verify(screen.client) { _ in true }
        }
        #expect(unknown?.status == .usage && unknown?.description.contains("peers add bob FINGERPRINT") == true)
        try met()
        let silent = await Screen.error {
            try await PeersCommand.Verify.parse(["bob"]).verify(screen.client, ask: nil)
        }
        #expect(silent?.status == .refused)
        #expect(silent?.description.contains("relay-client peers add bob \(fingerprint)") == true)
    }

    /// The question stands for minutes; what it was about may be another one's by then.
    @Test func theAnswerIsAboutTheOneThatWasShown() async throws {
        try met()
        let (store, bob) = (store, bob)
        let impostor = try Screen.person("bob")
        let changed = await Screen.error {
            try await PeersCommand.Verify.parse(["bob"]).verify(screen.client) { _ in
                _ = try? store.forget(bob.name)
                _ = try? store.met(impostor, now: 6)
                return true
            }
        }
        #expect(changed?.status == .refused && changed?.description.contains("another fingerprint") == true)
        #expect(try isVerified == false)
    }

    @Test func aFingerprintIsTakenAsItWasWrittenDown() async throws {
        try PeersCommand.Add.parse(["bob"] + "\(fingerprint)".uppercased().split(separator: "-").map(String.init))
            .add(screen.client)
        #expect(screen.take() == ("", "bob has to be \(fingerprint) from the first contact on\n"))
        #expect(try store.contact(with: bob) == .known(isVerified: true))
        try PeersCommand.Add.parse(["bob", "\(fingerprint)", "--json"]).add(screen.client)
        let text = screen.take()
        #expect(text.errors == "bob is verified\n" && text.output.contains(#""met":false,"name":"bob""#))
        let contradicted = await Screen.error { try PeersCommand.Add.parse(["bob", "\(other)"]).add(screen.client) }
        #expect(contradicted?.status == .refused)
        #expect(contradicted?.description.contains("bob is known as \(fingerprint)") == true)
        for wrong in [["bob"], ["bob", "\(fingerprint)x"], ["bob", "4q7xm-0c2ke"], ["Bob!", "\(fingerprint)"]] {
            #expect(throws: (any Error).self) { try PeersCommand.Add.parse(wrong) }
        }
    }

    @Test func whoIsForgottenIsMetAnew() async throws {
        try met()
        try PeersCommand.Forget.parse(["bob"]).forget(screen.client)
        #expect(screen.take().errors == "bob is forgotten; the next contact is the first again\n")
        #expect(try store.contact(with: bob) == .first)
        #expect(await Screen.error { try PeersCommand.Forget.parse(["bob"]).forget(screen.client) }?.status == .usage)
    }

    @Test func sendTakesAFingerprintAndRefusesAnotherIdentity() async throws {
        let command = try SendCommand.parse(["bob,carol", "f", "--verify", "bob=\(fingerprint)"])
        #expect(command.settings.expected == [ExpectedPeer(name: bob.name, fingerprint: fingerprint)])
        try SendCommand.expect(command.settings.expected, store, now: 5)
        #expect(try store.contact(with: bob) == .known(isVerified: true))
        let wrong = try ExpectedPeer("bob=\(other)")
        let refused = await Screen.error { try SendCommand.expect([wrong], store, now: 6) }
        #expect(refused?.status == .refused && refused?.description.contains("nothing is sent") == true)
        #expect(refused?.description.contains("relay-client peers forget bob") == true)
        for text in ["bob", "bob=", "=\(fingerprint)", "bob=\(fingerprint)=", "dave=\(fingerprint)"] {
            #expect(throws: (any Error).self) { try SendCommand.parse(["bob,carol", "f", "--verify", text]) }
        }
    }
}
