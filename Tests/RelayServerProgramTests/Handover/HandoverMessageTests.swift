// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import ServerSystem
import Testing

@testable import RelayServerProgram

@Suite("What two processes of a relay say to each other")
struct HandoverMessageTests {
    @Test("descriptors that come with a message that has none are closed")
    func descriptorsOfOthers() throws {
        var ends: [CInt] = [-1, -1]
        try #require(unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let (one, other) = (ProcessChannel(socket: ends[0]), ProcessChannel(socket: ends[1]))
        var passed: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        try #require(unsafe socketpair(AF_UNIX, kind, 0, &passed) == 0)
        try one.tell(.serving, descriptors: [passed[1]])
        close(passed[1])
        #expect(other.hear(within: .seconds(5)) == .serving)
        var byte: UInt8 = 0
        #expect(unsafe read(passed[0], &byte, 1) == 0, "a process still has the other end")
        close(passed[0])
    }
}
