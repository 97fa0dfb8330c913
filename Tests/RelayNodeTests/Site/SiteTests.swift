// SPDX-License-Identifier: Apache-2.0

import Testing
import TransferBroker

@testable import RelayNode

@Suite struct SitePathTests {
    @Test(arguments: [
        ("/", "index.html"), ("/a/b.txt", "a/b.txt"), ("/docs/", "docs/index.html"), ("/%61%C3%A4", "aä"),
        ("/a%20b..c", "a b..c"),
    ])
    func leadsToAFile(path: String, file: String) {
        #expect(SitePath.file(of: path) == file)
    }

    @Test(arguments: [
        "", "x", "*", "//", "//a", "/a//b", "/.", "/..", "/../a", "/a/..", "/.a", "/a/.b/c", "/%2e%2e/a", "/%2Ea",
        "/a%2fb", "/a%00", "/a%0a", "/a%7f", "/%", "/%4", "/%zz", "/%ff", "/" + String(repeating: "a", count: 256),
        "/" + String(repeating: "a/", count: 600),
    ])
    func leadsNowhere(path: String) {
        #expect(SitePath.file(of: path) == nil)
    }

    @Test func challengesAreTokensOnly() {
        let prefix = "/.well-known/acme-challenge/"
        #expect(ChallengePath.file(of: prefix + "aZ09_-") == ".well-known/acme-challenge/aZ09_-")
        let mistakes = ["", ".", "..", "a/b", "a.b", "%61", "ä", String(repeating: "a", count: 129)]
        for mistake in mistakes { #expect(ChallengePath.file(of: prefix + mistake) == nil, "\(mistake)") }
        #expect(ChallengePath.file(of: "/x/.well-known/acme-challenge/a") == nil)
    }

    @Test func knowsTypesByTheEndAlone() {
        #expect(MediaType.of("a/index.HTML") == "text/html; charset=utf-8")
        #expect(MediaType.of("a.html/b") == "application/octet-stream")
        #expect(MediaType.of("x.tar.gz") == "application/gzip")
    }
}

@Suite struct ByteRangeTests {
    @Test(arguments: [
        ("bytes=0-0", ByteRange.part(0..<1)), ("bytes=0-", .part(0..<10)), ("bytes=9-", .part(9..<10)),
        ("Bytes=3-5", .part(3..<6)), ("bytes=3-99", .part(3..<10)), ("bytes=-1", .part(9..<10)),
        ("bytes=-10", .part(0..<10)), ("bytes=-11", .part(0..<10)), ("bytes=10-", .unsatisfiable),
        ("bytes=10-11", .unsatisfiable), ("bytes=-0", .unsatisfiable), ("bytes=-", .whole), ("bytes=", .whole),
        ("bytes=5-4", .whole), ("bytes=1-2,4-5", .whole), ("bytes=a-b", .whole), ("bytes=+1-2", .whole),
        ("bytes= 1-2", .whole), ("bytes=1-2-3", .whole), ("bytes=0-999999999999999999", .part(0..<10)),
        ("bytes=0-9999999999999999999", .whole), ("lines=0-1", .whole),
    ])
    func ofTenBytes(field: String, range: ByteRange) {
        #expect(ByteRange(field, size: 10) == range)
    }

    @Test func ofNothing() {
        #expect(ByteRange(nil, size: 0) == .whole)
        #expect(ByteRange("bytes=0-", size: 0) == .unsatisfiable)
        #expect(ByteRange("bytes=-5", size: 0) == .unsatisfiable)
    }

    @Test func tagsMatchWeakly() {
        #expect(EntityTag.matches(["\"a\""], "\"a\""))
        #expect(EntityTag.matches(["\"b\" , W/\"a\""], "\"a\""))
        #expect(EntityTag.matches(["\"b\"", "*"], "\"a\""))
        #expect(!EntityTag.matches(["\"ab\"", "a", "W/"], "\"a\""))
        #expect(!EntityTag.matches([], "\"a\""))
    }
}

@Suite struct SitePlaceTests {
    @Test func placesAreLimitedAndGivenBack() {
        let site = Site(.welcome { WelcomePage(fingerprints: [], authority: nil, name: "x") })
        var places = (0..<Defaults.Site.files).map { _ in site.place() }
        #expect(places.allSatisfy { $0 != nil })
        #expect(site.place() == nil)
        places.removeLast()
        #expect(site.place() != nil)
    }
}
