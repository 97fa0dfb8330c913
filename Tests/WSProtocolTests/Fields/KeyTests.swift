// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

/// Keys and signatures that are to be refused wherever they come from, and those that are not.
@Suite struct KeyTests {
    static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex.utf8)
        return stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)
        }
    }

    /// Every encoding of a point of low order, canonical or not: the list of "Taming the many EdDSAs" (Chalkias,
    /// Garillot, Nikolaenko; SSR 2020), table 1; the first is the neutral element, for which there is a signature to
    /// every message.
    @Test(arguments: [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ])
    func signingKeysOfLowOrderAreRefused(hex: String) {
        #expect(Self.bytes(hex).count == 32)
        #expect(SigningKey(bytes: Self.bytes(hex)) == nil)
        #expect(SigningKey(rawValue: Base64URL.encode(Self.bytes(hex))) == nil)
        // Nor is it the first half of a signature.
        #expect(LoginSignature(bytes: Self.bytes(hex) + [1] + [UInt8](repeating: 0, count: 31)) == nil)
    }

    /// y = 2²⁵⁵ − 19 + n for the other n that 255 bits have room for, with either sign: none is canonical.
    @Test(arguments: 0..<19 as Range<UInt8>) func signingKeysThatAreNotCanonicalAreRefused(n: UInt8) {
        let bytes = [0xED + n] + [UInt8](repeating: 0xFF, count: 30)
        #expect(SigningKey(bytes: bytes + [0x7F]) == nil)
        #expect(SigningKey(bytes: bytes + [0xFF]) == nil)
    }

    /// RFC 8032, section 7.1: the public keys and signatures of its tests 1 to 3 and 1024.
    @Test(arguments: [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
        (
            "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
            "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03"
        ),
    ])
    func validSigningKeysAreTaken(key: String, signature: String) {
        #expect(SigningKey(bytes: Self.bytes(key))?.bytes == Self.bytes(key))
        #expect(LoginSignature(bytes: Self.bytes(signature))?.bytes == Self.bytes(signature))
    }

    /// S = L, L + S of a signature that holds (RFC 8032, section 5.1.7: 0 ≤ S < L), and the largest numbers.
    @Test(arguments: [
        "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010",
        "4c8c7872aa064e049dbb3013fbf29380d25bf5f0595bbe24655141438e7a101b",
        "00000000000000000000000000000000000000000000000000000000000000f0",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ])
    func signaturesWithTooLargeAScalarAreRefused(scalar: String) {
        let point = Self.bytes("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
        #expect(LoginSignature(bytes: point + Self.bytes(scalar)) == nil)
        let largest = Self.bytes("ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        #expect(LoginSignature(bytes: point + largest) != nil)
    }

    @Test func randomKeysAreKeys() {
        for _ in 0..<50 {
            #expect(SigningKey(bytes: SigningKey.random().bytes) != nil)
            #expect(LoginSignature(bytes: LoginSignature.random().bytes) != nil)
        }
    }
}
