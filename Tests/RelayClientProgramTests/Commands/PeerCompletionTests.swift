// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RelayClientProgram

@Suite struct PeerCompletionTests {
    @Test func aListIsCompletedAtItsEnd() {
        let peers = ["bob", "bobby", "carol"]
        #expect(PeerCompletion.list(peers, prefix: "bo") == ["bob", "bobby"])
        #expect(PeerCompletion.list(peers, prefix: "carol,b") == ["carol,bob", "carol,bobby"])
        #expect(PeerCompletion.list(peers, prefix: "bob,") == ["bob,bobby", "bob,carol"])
        #expect(PeerCompletion.list(peers, prefix: "x,c") == ["x,carol"])
        #expect(PeerCompletion.list(peers, prefix: "") == peers && PeerCompletion.list(peers, prefix: "z").isEmpty)
    }

    @Test(arguments: [
        ("a b", "a b"), ("'a b'", "a b"), (#""a \"b""#, #"a "b"#), (#"a\ b"#, "a b"), (#"'a\b'"#, #"a\b"#), ("'a", "a"),
    ])
    func wordsAreReadAsAShellDoes(_ typed: String, _ meant: String) {
        #expect(PeerCompletion.unquoted(typed) == meant)
    }

    @Test(arguments: [
        ("send --profile /p b", "/p"), ("send --profile=/p b", "/p"), ("send --profile '/p' b", "/p"),
        ("send --profile ~/p b", "/h/p"), ("send --profile /a --profile /p", "/p"), ("send b", "/v"),
        ("send -- --profile /p", "/v"), ("send --profile", "/v"),
    ])
    func theProfileIsTheCommandLines(_ line: String, _ directory: String) {
        let environment = Environment(variables: ["HOME": "/h", "RELAY_PROFILE": "/v"])
        let words = line.split(separator: " ").map(String.init)
        #expect(PeerCompletion.Profile(words, environment: environment).directory == directory)
    }

    @Test func withoutAProfileThereIsNothing() {
        let profile = PeerCompletion.Profile([], environment: Environment(variables: [:]))
        #expect(profile.directory == nil && profile.peers.isEmpty && profile.transfers.isEmpty)
    }
}
