// SPDX-License-Identifier: Apache-2.0

import Crypto
import TestSupport
import Testing
import WSProtocol

@testable import Sealing

@Suite struct FingerprintTests {
    @Test func isFiveGroupsOfFive() throws {
        let fingerprint = Fingerprint(of: try Person("alice", 1).party.identity)
        let groups = fingerprint.description.split(separator: "-")
        #expect(groups.map(\.count) == [5, 5, 5, 5, 5])
        #expect(fingerprint != Fingerprint(of: try Person("alice", 2).party.identity))
    }

    @Test func showsTheFirst125BitsOfTheHash() throws {
        let key = try Person("alice", 1).party.identity
        let digest = Array(SHA256.hash(data: Array("relay/1 fingerprint\0".utf8) + key.bytes)).prefix(16)
        let bits = digest.map { byte in
            String(repeating: "0", count: byte.leadingZeroBitCount) + (byte == 0 ? "" : String(byte, radix: 2))
        }
        .joined().prefix(125)
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz")
        let characters = stride(from: 0, to: 125, by: 5).map { index in
            alphabet[Int(bits.dropFirst(index).prefix(5), radix: 2) ?? 0]
        }
        #expect(Fingerprint(of: key).description.filter { $0 != "-" } == String(characters))
    }

    @Test func isReadAsPeopleWriteIt() throws {
        let fingerprint = try #require(Fingerprint(text: "01234-56789-abcde-fghjk-mnpqr"))
        for text in [
            "0123456789abcdefghjkmnpqr", "O1234 56789 ABCDE FGHJK MNPQR", "oL234-56789-abcde-fghjk-mnpqr",
            " 0i234--56789\tabcde fghjk mnpqr\n", "0I234-56789-abcde-fghjk-mnpqr",
        ] {
            #expect(Fingerprint(text: text) == fingerprint, "\(text)")
        }
        #expect(fingerprint.description == "01234-56789-abcde-fghjk-mnpqr")
    }

    @Test(arguments: [
        "", "01234-56789-abcde-fghjk-mnpq", "01234-56789-abcde-fghjk-mnpqrs", "u1234-56789-abcde-fghjk-mnpqr",
        "01234_56789-abcde-fghjk-mnpqr", "01234-56789-abcde-fghjk-mnpqé",
    ])
    func refusesWhatIsNone(_ text: String) { #expect(Fingerprint(text: text) == nil) }

    @Test func readsWhatItWrites() throws {
        for number in UInt8(1)...50 {
            let fingerprint = Fingerprint(of: try Person("alice", number).party.identity)
            #expect(Fingerprint(text: fingerprint.description) == fingerprint)
            #expect(Fingerprint(text: fingerprint.description.uppercased()) == fingerprint)
        }
    }
}

@Suite struct LabelTests {
    @Test func noneIsTheBeginningOfAnother() {
        for first in SealingLabel.allCases {
            for second in SealingLabel.allCases where first != second {
                #expect(!second.bytes.starts(with: first.bytes))
            }
        }
    }
}
