// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RedisTransport

@Suite struct CommandWriterTests {
    @Test func goldenBytes() throws {
        #expect(try CommandWriter.format(RedisCommand("PING")) == ByteBuffer(string: "*1\r\n$4\r\nPING\r\n"))
        let command = RedisCommand(
            "SET", [ByteBuffer(bytes: [0, 13, 10, 255, 0x25]), ByteBuffer(), ByteBuffer(string: "%s")])
        var expected = ByteBuffer(string: "*4\r\n$3\r\nSET\r\n$5\r\n")
        expected.writeBytes([0, 13, 10, 255, 0x25])
        expected.writeString("\r\n$0\r\n\r\n$2\r\n%s\r\n")
        #expect(try CommandWriter.format(command) == expected)
    }

    @Test func whatIsTooLargeIsRefused() throws {
        let large = ByteBuffer(repeating: 0, count: RedisDefaults.commandLength - 3)
        #expect(try CommandWriter.format(RedisCommand("SET", [large])).readableBytes > RedisDefaults.commandLength)
        #expect(throws: RedisError(.tooLarge)) { try CommandWriter.format(RedisCommand("SETX", [large])) }
        let many = [ByteBuffer](repeating: ByteBuffer(), count: RedisDefaults.commandArguments)
        #expect(throws: RedisError(.tooLarge)) { try CommandWriter.format(RedisCommand("DEL", many)) }
    }

    @Test func aCommandNeverShowsItsArguments() {
        #expect("\(RedisCommand("AUTH", "the user", "the password"))" == "AUTH")
    }
}
