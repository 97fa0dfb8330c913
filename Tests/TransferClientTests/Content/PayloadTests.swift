// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct PayloadTests {
    private static func payload(_ json: String) throws -> Payload { try #require(Payload(bytes: Array(json.utf8))) }

    @Test func writesWhatTheDocumentSays() throws {
        let summary = ContentSummary(size: 5, digest: [UInt8](repeating: 0xA5, count: 32))
        let texts = [
            PayloadCoding.encode(OfferPayload(name: "report.pdf", size: 12_345)),
            PayloadCoding.encode(OfferPayload(name: "a/b", size: nil)),
            PayloadCoding.encode(OfferPayload(name: "a", size: 1, attempt: OfferIdentity(bytes: 0...15))),
            PayloadCoding.encode(AcceptPayload(offset: 0)),
            PayloadCoding.encode(DeliveredPayload(summary)),
        ].map { payload in payload.map { String(decoding: $0.bytes, as: UTF8.self) } }
        #expect(
            texts == [
                #"{"name":"report.pdf","size":12345,"v":0}"#, #"{"name":"a/b","v":0}"#,
                #"{"attempt":"AAECAwQFBgcICQoLDA0ODw","name":"a","size":1,"v":0}"#, #"{"offset":0,"v":0}"#,
                #"{"sha256":"\#(String(repeating: "a5", count: 32))","size":5,"v":0}"#,
            ]
        )
    }

    @Test func readsAnOffer() throws {
        #expect(PayloadCoding.offer(try Self.payload(#"{"v":0,"name":"x","size":7,"more":[]}"#))?.size == 7)
        #expect(PayloadCoding.offer(try Self.payload(#"{"v":0,"name":"x"}"#))?.size == .some(nil))
        #expect(PayloadCoding.offer(try Self.payload(#"{"v":0,"name":"x"}"#))?.attempt == .some(nil))
        let again = #"{"attempt":"AAECAwQFBgcICQoLDA0ODw","v":0,"name":"x"}"#
        #expect(PayloadCoding.offer(try Self.payload(again))?.attempt?.bytes == Array(0...15))
    }

    @Test(arguments: [
        "", "{}", "[]", "null", #"{"v":1,"name":"x"}"#, #"{"v":0}"#, #"{"v":0,"name":""}"#, #"{"v":0,"name":7}"#,
        #"{"v":0,"name":"x","size":-1}"#, #"{"v":0,"name":"x","size":1.5}"#,
        #"{"v":0,"name":"x","size":99999999999999999999}"#, #"{"v":0,"name":"x","size":"7"}"#, "\u{0}",
        #"{"v":0,"name":"x","attempt":"AAEC"}"#, #"{"v":0,"name":"x","attempt":7}"#,
    ])
    func refusesAnythingElseAsAnOffer(_ json: String) throws {
        #expect(PayloadCoding.offer(try Self.payload(json)) == nil)
    }

    @Test(arguments: ["", "{}", #"{"v":0,"offset":1}"#, #"{"v":1,"offset":0}"#, #"{"v":0,"offset":-1}"#])
    func refusesAnAcceptItCannotFollow(_ json: String) throws {
        #expect(PayloadCoding.accept(try Self.payload(json)) == nil)
        #expect(PayloadCoding.accept(nil) == nil)
        #expect(PayloadCoding.accept(try Self.payload(#"{"v":0,"offset":0}"#)) != nil)
    }

    @Test func onlyTheSameSizeAndDigestAreADelivery() throws {
        let summary = ContentSummary(size: 5, digest: [UInt8](repeating: 0xA5, count: 32))
        let hex = summary.hex
        func confirms(_ json: String) throws -> Bool {
            PayloadCoding.delivered(try Self.payload(json))?.confirms(summary) ?? false
        }
        #expect(try confirms(#"{"v":0,"size":5,"sha256":"\#(hex)"}"#))
        #expect(try !confirms(#"{"v":0,"size":6,"sha256":"\#(hex)"}"#))
        #expect(try !confirms(#"{"v":1,"size":5,"sha256":"\#(hex)"}"#))
        #expect(try !confirms(#"{"v":0,"size":5,"sha256":"\#(hex.dropLast())"}"#))
        #expect(try !confirms(#"{"v":0,"size":5}"#))
        #expect(try !confirms(#"{}"#))
    }

    /// What is taken is of the form, and stays what it is when it is written again.
    @Test func hostilePayloadsAreTakenWholeOrNotAtAll() throws {
        let valid = [
            #"{"attempt":"AAECAwQFBgcICQoLDA0ODw","name":"a","size":1,"v":0}"#, #"{"name":"a/b","v":0}"#,
            #"{"offset":0,"v":0}"#, #"{"sha256":"\#(String(repeating: "a5", count: 32))","size":5,"v":0}"#,
            #"{"name":"","v":0}"#, #"{"offset":7,"v":0}"#,
        ]
        for input in HostileInputs(damaging: valid, seed: 22) {
            let payload = try #require(Payload(bytes: input.bytes))
            if let offer = PayloadCoding.offer(payload) {
                #expect(offer.v == 0 && !offer.name.isEmpty, "\(input)")
                #expect(PayloadCoding.encode(offer).flatMap { PayloadCoding.offer($0) } == offer, "\(input)")
            }
            if let accept = PayloadCoding.accept(payload) { #expect(accept == AcceptPayload(offset: 0), "\(input)") }
            if let delivered = PayloadCoding.delivered(payload) {
                #expect(
                    PayloadCoding.encode(delivered).flatMap { PayloadCoding.delivered($0) } == delivered, "\(input)")
            }
        }
    }

    @Test func hostileAnswersHaveOnlyKnownCodes() {
        let valid = [#"{"code":"receiver_gone","message":"gone"}"#, #"{"bytes":12345}"#, "5", "86400"]
        for input in HostileInputs(damaging: valid, seed: 23) {
            let answer = HTTPResponse(status: 503, body: ByteBuffer(bytes: input.bytes), retryAfter: input.text)
            #expect(answer.status == 503, "\(input)")
            if let pause = answer.retryAfter { #expect(pause >= .zero && pause <= .hours(24), "\(input)") }
        }
    }

    @Test func judgesOffers() throws {
        let (alice, bob) = (try #require(PeerName(rawValue: "alice")), try #require(PeerName(rawValue: "bob")))
        #expect(ReceivePolicy().judge(from: alice, size: nil) == .ask)
        #expect(ReceivePolicy(isTrusting: true).judge(from: alice, size: 7) == .accept)
        let strict = ReceivePolicy(from: [alice], isTrusting: true, maximumSize: 10)
        #expect(strict.judge(from: alice, size: 10) == .accept)
        #expect(strict.judge(from: alice, size: 11) == .decline(.tooLarge))
        #expect(strict.judge(from: alice, size: nil) == .accept)
        #expect(strict.judge(from: bob, size: 1) == .decline(.declined))
        #expect(ReceivePolicy(from: [alice]).judge(from: alice, size: 1) == .ask)
    }
}
