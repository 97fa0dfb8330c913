// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLineInterface
import TestSupport
import Testing
import WSProtocol

@Suite("Values on the command line")
struct ValueTests {
    @Test(
        arguments: [
            ("0", 0), ("30", 30_000), ("30s", 30_000), ("10m", 600_000), ("24h", 86_400_000), ("1d", 86_400_000),
            ("7d", 604_800_000),
            ("250ms", 250), ("1h30m", 5_400_000), ("1d12h", 129_600_000), ("1s500ms", 1_500), ("366d", 31_622_400_000),
            (" 10m\n", 600_000),
        ] as [(String, Int64)])
    func timesAreRead(_ text: String, _ milliseconds: Int64) throws {
        #expect(try TimeSpan(text).milliseconds == milliseconds)
    }

    @Test(arguments: [
        "", "m", "-1s", "+1s", "1.5h", "1w", "1 h", "30m1h", "1h1h", "1h30", "367d", "9223372036854775807h",
        "9223372036854775807d1h",
        "99999999999999999999s", "\u{0663}s", "1H",
    ])
    func otherTimesAreRefused(_ text: String) {
        let error = #expect(throws: ValidationError.self) { try TimeSpan(text) }
        #expect(error?.message.contains("a time is ") == true)
    }

    @Test(
        arguments: [
            (0, "0s"), (250, "250ms"), (600_000, "10m"), (86_400_000, "24h"), (604_800_000, "7d"), (5_400_000, "1h30m"),
            (129_600_000, "36h"),
        ] as [(Int64, String)])
    func timesAreDescribedAsTheyAreWritten(_ milliseconds: Int64, _ text: String) throws {
        #expect(TimeSpan(milliseconds: milliseconds).description == text)
        #expect(try TimeSpan(text).milliseconds == milliseconds)
    }

    @Test(
        arguments: [
            ("0", 0), ("500", 500), ("1K", 1_024), ("10k", 10_240), ("10M", 10_485_760), ("2G", 2_147_483_648),
            ("1T", 1_099_511_627_776),
            ("3MB", 3_145_728), ("3MiB", 3_145_728), ("7B", 7), ("1.5G", 1_610_612_736), ("0.5k", 512),
            ("1.50M", 1_572_864),
            ("2.0", 2), ("16777215.9990234375T", 18_446_744_072_635_809_792), (" 2G\r\n", 2_147_483_648),
        ] as [(String, UInt64)])
    func sizesAreRead(_ text: String, _ bytes: UInt64) throws {
        #expect(try ByteSize(text).bytes == bytes)
    }

    @Test(arguments: [
        "", "-1", "+1", "M", "1X", "1 M", "1.", ".5G", "1.5", "0.1G", "1.2.3M", "1,5G", "99999999999999999999",
        "18446744073709551615K",
        "16777216T", "1.00000000000000000000000001G", "1\u{0663}", "1e3",
    ])
    func otherSizesAreRefused(_ text: String) {
        let error = #expect(throws: ValidationError.self) { try ByteSize(text) }
        #expect(error?.message.contains(ByteSize.grammar) == true)
    }

    @Test func namesAreRead() throws {
        #expect(try PeerName.argument(" bob\n").rawValue == "bob")
        #expect(try PeerName.list("bob").map(\.rawValue) == ["bob"])
        #expect(try PeerName.list("bob, alice,bob").map(\.rawValue) == ["bob", "alice"])
    }

    @Test(arguments: [
        ("Bob", "did you mean \"bob\"?"), ("-bob", PeerName.rule), ("b b", PeerName.rule), ("bob,", "comma"),
        (",", "comma"),
        ("", "comma"), ("bob,,alice", "comma"), ("alice,Bob", "did you mean \"bob\"?"),
        (String(repeating: "b", count: 64), "1 to 63 of a-z 0-9 . _ -"),
    ])
    func anInvalidNameIsRefusedWithTheRule(_ text: String, _ rule: String) {
        let error = #expect(throws: ValidationError.self) { try PeerName.list(text) }
        #expect(error?.message.contains(rule) == true)
    }

    @Test(arguments: [
        ("code", "code"), (" code\n", "code"), ("\u{FEFF}code\r\n", "code"), ("\t\u{A0}code\u{200B}", "code"),
        ("a b", "a b"), (" \n", ""),
    ])
    func pastedTextIsTrimmed(_ text: String, _ expected: String) {
        #expect(Pasted.trimmed(text) == expected)
    }

    @Test(arguments: [("/a b ", "/a b "), ("/a\n", "/a"), (" /a\r\n", " /a"), ("\n", "")])
    func pathsKeepTheirBlanks(_ path: String, _ expected: String) {
        #expect(Pasted.path(path) == expected)
    }

    @Test func aTildeThatNoShellHasExpandedIsReported() throws {
        #expect(UnexpandedHome.mistake("~/relay-test-nothing", of: "--output")?.contains("--output") == true)
        #expect(UnexpandedHome.mistake("~", of: "--output") != nil)
        for path in ["/", ".", "a/~/b", "~user", "relay-test-nothing"] {
            #expect(UnexpandedHome.mistake(path, of: "--output") == nil)
        }
    }
}
