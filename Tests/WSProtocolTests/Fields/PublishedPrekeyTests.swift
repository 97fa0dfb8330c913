// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WSProtocol

@Suite struct PublishedPrekeyTests {
    private static func prekey(_ epoch: UInt32) -> PublishedPrekey {
        PublishedPrekey(epoch: epoch, key: .random(), signature: .random())
    }

    @Test func theLatestTakesThePlaceOfTheOneThatIsKnown() {
        let known = Self.prekey(24_322)
        #expect(known.replaces(nil))
        #expect(!known.replaces(known))
        #expect(Self.prekey(24_322).replaces(known), "a profile that has begun again has other keys")
        #expect(Self.prekey(24_323).replaces(known))
        #expect(!Self.prekey(24_321).replaces(known), "a copy of the profile whose clock is behind has the same keys")
        #expect(Self.prekey(24_320).replaces(known), "a clock was far ahead")
    }

    @Test func theFirstAndTheLastMonthAreNoExceptions() {
        #expect(Self.prekey(.max).replaces(Self.prekey(0)))
        #expect(Self.prekey(0).replaces(Self.prekey(.max)))
        #expect(!Self.prekey(.max - 1).replaces(Self.prekey(.max)))
        #expect(!Self.prekey(0).replaces(Self.prekey(1)))
    }

    @Test(arguments: [
        "", #""epoch":24322,"#, #""epoch":-1,"key":"KEY","signature":"SIGNATURE""#,
        #""epoch":4294967296,"key":"KEY","signature":"SIGNATURE""#, #""epoch":"1","key":"KEY","signature":"SIGNATURE""#,
        #""epoch":1,"key":"KEYA","signature":"SIGNATURE""#, #""epoch":1,"key":"","signature":"SIGNATURE""#,
        #""epoch":1,"key":"KEY","signature":"SIGNATUREAA""#, #""epoch":1,"key":"KEY","signature":"NONE""#,
        #""epoch":1,"key":"KEY""#, #""epoch":1,"signature":"SIGNATURE""#,
    ])
    func anythingElseIsNone(_ fields: String) {
        let sample = Self.prekey(1)
        func decoded(_ fields: String) -> PublishedPrekey? {
            let text = fields.replacing("KEY", with: sample.key.rawValue)
                .replacing("SIGNATURE", with: sample.signature.rawValue)
                .replacing("NONE", with: Base64URL.encode([UInt8](repeating: 0, count: 64)))
            return StrictJSON.decode(PublishedPrekey.self, from: "{\(text)}".utf8)
        }
        #expect(decoded(#""epoch":1,"key":"KEY","signature":"SIGNATURE""#) == sample)
        #expect(decoded(fields) == nil)
    }
}
