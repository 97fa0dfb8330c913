// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import Testing
import WSProtocol

@testable import TransferBroker

@Suite struct TokenLedgerTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private var ledger = TokenLedger(lifetime: .seconds(60), capacity: 8)

    private mutating func issue(_ transfer: TransferID, _ role: TransferRole, after: TimeAmount = .zero) -> Token? {
        let token = Token.random()
        return ledger.issue(token, for: transfer, role, now: start + after) ? token : nil
    }

    private mutating func mint(_ transfer: TransferID, _ role: TransferRole) throws -> Token {
        let token = issue(transfer, role)
        return try #require(token)
    }

    @Test mutating func aTokenIsGoodOnce() throws {
        let transfer = TransferID.random()
        let token = try mint(transfer, .upload)
        #expect(ledger.claim(TokenDigest(token), as: .upload, now: start) == transfer)
        #expect(ledger.claim(TokenDigest(token), as: .upload, now: start) == nil)
        #expect(ledger.count == 0)
    }

    @Test mutating func aClaimForTheOtherHalfUsesNothingUp() throws {
        let transfer = TransferID.random()
        let token = try mint(transfer, .download)
        #expect(ledger.claim(TokenDigest(token), as: .upload, now: start) == nil)
        #expect(ledger.claim(TokenDigest(token), as: .download, now: start) == transfer)
    }

    @Test mutating func anUnknownTokenIsNoGood() throws {
        _ = ledger.issue(.random(), for: .random(), .download, now: start)
        #expect(ledger.claim(TokenDigest(.random()), as: .download, now: start) == nil)
        #expect(ledger.count == 1)
    }

    @Test mutating func aTokenExpires() throws {
        let transfer = TransferID.random()
        let early = try mint(transfer, .upload)
        let late = try mint(transfer, .download)
        #expect(ledger.claim(TokenDigest(early), as: .upload, now: start + .nanoseconds(59_999_999_999)) == transfer)
        #expect(ledger.claim(TokenDigest(late), as: .download, now: start + .seconds(60)) == nil)
        ledger.sweep(now: start + .seconds(60))
        #expect(ledger.count == 0)
    }

    @Test mutating func revokingTakesBothHalvesAndNothingElse() throws {
        let transfer = TransferID.random()
        let other = TransferID.random()
        let tokens = [
            try mint(transfer, .upload),
            try mint(transfer, .download),
        ]
        let kept = try mint(other, .upload)
        ledger.revoke(transfer)
        #expect(ledger.claim(TokenDigest(tokens[0]), as: .upload, now: start) == nil)
        #expect(ledger.claim(TokenDigest(tokens[1]), as: .download, now: start) == nil)
        #expect(ledger.claim(TokenDigest(kept), as: .upload, now: start) == other)
    }

    @Test mutating func itIsBoundedWhateverBecomesOfTheTokens() throws {
        for _ in 0..<8 {
            let token = try mint(.random(), .upload)
            _ = ledger.claim(TokenDigest(token), as: .upload, now: start)
        }
        #expect(issue(.random(), .upload) == nil)
        #expect(issue(.random(), .upload, after: .seconds(60)) != nil)
    }

    @Test func tokensDiffer() {
        #expect(Set((0..<1000).map { _ in Token.random() }).count == 1000)
    }

    @Test func aDigestIsTheSHA256() throws {
        let token = try #require(Token(bytes: Array(repeating: 0, count: 32)))
        let hex = TokenDigest(token).bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }
            .joined()
        #expect(hex == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925")
    }
}
