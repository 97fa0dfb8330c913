// SPDX-License-Identifier: Apache-2.0

import RedisTransport
import Testing

@Suite("What Redis replies with") struct RedisErrorTests {
    @Test("the code of an error is found, also where version 6.2 puts that of a script")
    func theCodeOfAnErrorIsFound() {
        let digest = String(repeating: "a", count: 40)
        let inside = "ERR Error running script (call to f_\(digest)): @user_script:1: @user_script: 1: "
        for text in [
            "READONLY", "READONLY You can't write against a read only replica.",
            inside + "-READONLY You can't write against a read only replica.", inside + "READONLY no",
        ] {
            #expect(RedisError(.replied, text).isReply("READONLY"), "\(text)")
        }
        for text in ["ERR no READONLY", "READONLYX", inside + "x-READONLY"] {
            #expect(!RedisError(.replied, text).isReply("READONLY"), "\(text)")
        }
        #expect(!RedisError(.disconnected, "READONLY").isReply("READONLY"))
        #expect(RedisError(.replied, "NOPERM this user has no permissions").isForbidden)
        let words = "The user executing the script can't run this command or subcommand"
        #expect(RedisError(.replied, "ERR " + words + " script: \(digest)").isForbidden)
        #expect(RedisError(.replied, inside + words).isForbidden)
        let later = "ERR ACL failure in script: User u has no permissions to run the 'set' command"
        #expect(RedisError(.replied, later).isForbidden)
        #expect(!RedisError(.replied, "WRONGTYPE x").isForbidden && !RedisError(.unavailable).isForbidden)
    }
}
