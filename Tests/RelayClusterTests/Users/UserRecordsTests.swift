// SPDX-License-Identifier: Apache-2.0

import RelayNode
import RelayTestFixtures
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayCluster

@Suite("What shows that a node has written a record")
struct UserRecordsTests {
    private let records = UserRecords(RoutedNode.secret)
    private let bob: User = {
        var bob = User.test("bob")
        bob.prekey = .test(24_322)
        return bob
    }()

    @Test("a record is read under the name it was written for, and no other")
    func place() {
        for user in [bob, User(name: bob.name, key: bob.key)] {
            let text = records.text(of: user)
            #expect(records.user(bob.name, text) == user)
            #expect(records.user(.test("bo"), text) == nil && records.user(.test("bobb"), text) == nil)
            #expect(text.utf8.count < Defaults.Routing.userLength * 4 / 5)
        }
    }

    @Test("a record of an earlier version, with a key that nothing uses, is read as it was written")
    func earlier() {
        var record = UserRecord(bob)
        record.exchangeKey = "NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlQ"
        let text = records.text(of: record, under: bob.name)
        #expect(text.hasPrefix(#"{"exchangeKey":"NYBy"#) && records.user(bob.name, text) == bob)
        #expect(records.user(bob.name, text.replacing("NYBy", with: "NYBx")) == nil)
        #expect(!records.text(of: bob).contains("exchangeKey"))
    }

    @Test("of no record a single character may be another")
    func characters() {
        let text = Array(records.text(of: bob).utf8)
        for index in text.indices {
            for change: UInt8 in [1, 0x20] {
                var changed = text
                changed[index] ^= change
                #expect(records.user(bob.name, String(decoding: changed, as: UTF8.self)) == nil, "\(index)")
            }
        }
    }

    @Test("an account and a note are read where they were written for, with no character another")
    func accounts() throws {
        let account = UserAccount(
            disabled: UnixTime(seconds: 7), note: String(repeating: "é", count: 100), limits: [.rate: 1 << 20, .day: 0])
        let text = records.account(account, of: bob.name)
        #expect(records.account(of: bob.name, text) == account)
        #expect(records.account(of: .test("bo"), text) == nil)
        #expect(text.utf8.count < Defaults.Routing.userLength && text.utf8.allSatisfy { $0 < 0x7F })
        let digest = try #require(InvitationCode(rawValue: "code")?.digest)
        let note = records.note("for bob", about: digest)
        #expect(records.note(about: digest, note) == "for bob")
        #expect(records.note(about: digest, text) == nil && records.account(of: bob.name, note) == nil)
        let bytes = Array(text.utf8)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(records.account(of: bob.name, String(decoding: changed, as: UTF8.self)) == nil, "\(index)")
        }
    }

    @Test("a record is exactly what a node writes: nothing is left out, put in or taken from another")
    func form() throws {
        let text = records.text(of: bob)
        var other = bob
        other.prekey = .test(24_322)
        let mallory = UserRecord(User.test("mallory"))
        let made = try #require(UserRecord(text))
        func changed(_ change: (inout UserRecord) -> Void) -> String {
            var record = made
            change(&record)
            return record.text
        }
        let forged = [
            "", "{}", changed { $0.mac = nil }, changed { $0.prekey = nil }, changed { $0.key = mallory.key },
            changed { $0.exchangeKey = "" }, changed { $0.prekey = other.prekey },
            changed { $0.prekey?.epoch += 1 }, text + " ", text.replacing(",", with: ", "),
            text.dropLast() + #","name":"bob"}"#, records.removal(of: bob.name),
        ]
        for each in forged { #expect(records.user(bob.name, each) == nil, "\(each)") }
        let secret = try #require(ClusterSecret(bytes: [UInt8](repeating: 8, count: 32)))
        #expect(UserRecords(secret).user(bob.name, text) == nil, "another cluster's")
        #expect(changed { _ in } == text)
    }

    @Test("whatever stands there is the very record, or none")
    func hostile() {
        let text = records.text(of: bob)
        for input in HostileInputs(damaging: [text], seed: 41, count: 4000) {
            #expect((records.user(bob.name, input.text) != nil) == (input.text == text), "\(input)")
        }
    }

    @Test("invitations and removals are of one place as well")
    func others() throws {
        let digests = try (0..<2).map { _ in try #require(InvitationDigest(bytes: UInt8(0)..<32)) }
        let other = InvitationDigest.random()
        #expect(records.invitation(digests[0], for: nil) == records.invitation(digests[1], for: nil))
        let texts = [
            records.invitation(digests[0], for: nil), records.invitation(other, for: nil),
            records.invitation(digests[0], for: bob.name), records.invitation(digests[0], for: .test("carol")),
            records.removal(of: bob.name), records.removal(of: .test("carol")),
        ]
        #expect(Set(texts.map { $0.split(separator: " ").last }).count == texts.count)
        for (index, text) in texts.enumerated() {
            #expect(records.isInvitation(text, digests[0], for: nil) == (index == 0))
            #expect(records.isInvitation(text, other, for: nil) == (index == 1))
            #expect(records.isInvitation(text, digests[0], for: bob.name) == (index == 2))
            #expect(records.isRemoval(text, of: bob.name) == (index == 4))
        }
        for text in [texts[0], texts[2], texts[4]] {
            for input in HostileInputs(damaging: [text], seed: 43, count: 1000) where input.text != text {
                #expect(!records.isInvitation(input.text, digests[0], for: nil), "\(input)")
                #expect(!records.isInvitation(input.text, digests[0], for: bob.name), "\(input)")
                #expect(!records.isRemoval(input.text, of: bob.name), "\(input)")
            }
        }
    }
}
