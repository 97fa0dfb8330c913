// SPDX-License-Identifier: Apache-2.0

import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing
import WSProtocol

@testable import RelayServer

/// Real connections on loopback, two event loops, no TLS: both halves may land on the same loop or on two.
@Suite struct PipeTests {
    @Test(arguments: [false, true]) func carriesAnUploadIntoADownload(isChunked: Bool) async throws {
        try await withRelay { relay in
            // More rounds than loops, so that both the joined-in-place and the moved connection are met.
            for round in 0..<8 {
                let (transfer, up, down) = relay.directory.mint()
                let download = try await relay.connect()
                download.send("GET /download HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer \(down.rawValue)\r\n\r\n")
                try await relay.directory.wait(for: transfer, .downloadParked)
                let upload = try await relay.connect()
                let content = String(repeating: "content \(round) ", count: 20_000)
                let length = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(content.utf8.count)"
                upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\n\(length)\r\n\r\n")
                upload.send(
                    isChunked ? "\(String(content.utf8.count, radix: 16))\r\n\(content)\r\n0\r\n\r\n" : content
                )
                let answer = try await upload.everything()
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(answer.hasSuffix("{\"bytes\":\(content.utf8.count)}\n"))
                let body = try await download.everything()
                #expect(body.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(Self.content(of: body) == content)
                try await relay.directory.wait(for: transfer, .finished(bytes: UInt64(content.utf8.count)))
            }
        }
    }

    @Test func asksForTheBodyOnlyOnceTheReceiverIsThere() async throws {
        try await withRelay { relay in
            let (_, up, download) = try await relay.parked()
            let upload = try await relay.connect()
            upload.send(
                "PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            )
            try await upload.received("HTTP/1.1 100 Continue\r\n\r\n")
            upload.send("hi")
            #expect(try await download.everything().hasSuffix("\r\n\r\nhi"))
            #expect(try await upload.everything().contains("HTTP/1.1 200 OK"))
        }
    }

    @Test func tellsTheSenderThatTheReceiverIsGone() async throws {
        try await withRelay { relay in
            let (transfer, up, download) = try await relay.parked()
            let upload = try await relay.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            try await download.received("some")
            download.close()
            try await relay.directory.wait(for: transfer, .cut(.receiverGone, bytes: 4))
            #expect(try await upload.received("receiver_gone").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test func neverMakesACutLookLikeAnEnd() async throws {
        try await withRelay { relay in
            let (transfer, up, download) = try await relay.parked()
            let upload = try await relay.connect()
            upload.send(
                "PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"
            )
            try await download.received("some")
            upload.close()
            let body = try await download.everything()
            #expect(!body.contains("0\r\n\r\n"))
            try await relay.directory.wait(for: transfer, .cut(.senderGone, bytes: 4))
        }
    }

    @Test func answersBothHalvesWhenTheTransferIsEndedByOthers() async throws {
        try await withRelay { relay in
            let (transfer, _, down) = relay.directory.mint()
            let download = try await relay.connect()
            download.send("GET /download?token=\(down.rawValue) HTTP/1.1\r\nHost: r\r\n\r\n")
            try await relay.directory.wait(for: transfer, .downloadParked)
            relay.services.streams.abort(StreamKey(home: .alone, transfer: transfer), code: .cancelled)
            let answer = try await download.everything()
            #expect(answer.hasPrefix("HTTP/1.1 502 "))
            #expect(answer.contains("\"cancelled\""))
            #expect(relay.services.streams.count == 0)
        }
    }

    @Test func holdsTheSenderBackWhileTheReceiverTakesNothing() async throws {
        try await withRelay { relay in
            let (transfer, up, down) = relay.directory.mint()
            let download = try await relay.connect(reading: false)
            download.send("GET /download?token=\(down.rawValue) HTTP/1.1\r\nHost: r\r\n\r\n")
            try await relay.directory.wait(for: transfer, .downloadParked)
            let upload = try await relay.connect()
            let total = 64 << 20
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: \(total)\r\n\r\n")
            upload.send(String(repeating: "x", count: total))
            try await upload.blocked()
            // The receiver wakes up and gets every byte.
            download.startReading()
            #expect(try await upload.everything().contains("{\"bytes\":\(total)}"))
            #expect(try await download.everything().utf8.count > total)
        }
    }

    @Test func afterABadTokenTheAnswerArrivesAlthoughTheBodyIsStillComing() async throws {
        try await withRelay { relay in
            let upload = try await relay.connect()
            let wrong = Token.random().rawValue
            upload.send("PUT /upload?token=\(wrong) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000000\r\n\r\n")
            upload.send(String(repeating: "x", count: 1_000_000))
            let answer = try await upload.everything()
            #expect(answer.hasPrefix("HTTP/1.1 403 "))
            #expect(answer.contains("token_refused"))
        }
    }

    static func content(of answer: String) -> String {
        guard let end = answer.firstRange(of: "\r\n\r\n") else { return "" }
        let body = answer[end.upperBound...]
        guard answer[..<end.lowerBound].contains("chunked") else { return String(body) }
        var reader = RequestBodyReader(.chunked)
        var buffer = ByteBuffer(string: String(body))
        var content = ""
        while case .content(let piece) = reader.next(&buffer) { content += String(buffer: piece) }
        return reader.isComplete ? content : "cut"
    }

    private func withRelay(_ body: (TestRelay) async throws -> Void) async throws {
        let relay = try await TestRelay.start()
        do {
            try await body(relay)
        } catch {
            try await relay.stop()
            throw error
        }
        try await relay.stop()
    }
}
