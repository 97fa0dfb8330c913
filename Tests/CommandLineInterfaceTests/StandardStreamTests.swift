// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import Glibc
import TestSupport
import Testing

@Suite("Standard streams")
struct StandardStreamTests {
    @Test("what cannot be written is an error with the system's reason")
    func aFailedWriteIsAnErrorWithTheReasonOfTheSystem() throws {
        let full = open("/dev/full", O_WRONLY | O_CLOEXEC)
        try #require(full >= 0)
        defer { close(full) }
        let lost = #expect(throws: StandardStream.Lost.self) { try StandardStream.write("text", to: full) }
        #expect(lost?.code == ENOSPC)
        #expect(lost?.description.contains("No space left on device") == true)
        #expect(throws: StandardStream.Lost.self) { try StandardStream.write("text", to: -1) }
    }

    @Test("a stream that stands in for a closed one can be told, and takes nothing")
    func aStandInForAClosedStreamTakesNothing() throws {
        let standIn = open("/dev/null", O_RDONLY | O_CLOEXEC)
        try #require(standIn >= 0)
        defer { close(standIn) }
        #expect(StandardStream.isClosed(standIn))
        #expect(StandardStream.isClosed(-1))
        #expect(!StandardStream.isClosed())
        #expect(throws: StandardStream.Lost.self) { try StandardStream.write("text", to: standIn) }
    }

    @Test("all of a text is written, through a pipe that is full again and again")
    func aLongTextIsWrittenThroughAFullPipe() async throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        for end in ends { try #require(fcntl(end, F_SETFL, O_NONBLOCK) == 0) }
        let (reader, writer) = (ends[0], ends[1])
        let text = String(repeating: "a line of text\n", count: 20_000)
        async let written: Void = Task.detached {
            defer { close(writer) }
            try StandardStream.write(text, to: writer)
        }.value
        var (read, chunk) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
        while true {
            var waiting = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            _ = poll(&waiting, 1, -1)
            let count = Glibc.read(reader, &chunk, chunk.count)
            if count == 0 { break }
            if count > 0 { read += chunk.prefix(count) }
        }
        try await written
        close(reader)
        #expect(read == Array(text.utf8))
    }
}
