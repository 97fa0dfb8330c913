// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import StreamRelay
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

/// What a stream promises to both ends, wherever its halves are.
@Suite(.timeLimit(.minutes(5))) struct StreamTests {
    @Test(arguments: StreamLayout.allCases, [false, true])
    func carriesAnUploadIntoADownload(layout: StreamLayout, isChunked: Bool) async throws {
        try await layout.withNodes { nodes in
            // More rounds than loops, so that both the joined-in-place and the moved connection are met.
            for round in 0..<8 {
                let (transfer, up, download) = try await nodes.down.parked(isInHeader: round % 2 == 0)
                let upload = try await nodes.up.connect()
                let content = String(repeating: "content \(round) ", count: 60_000)
                let length = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(content.utf8.count)"
                upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\n\(length)\r\n\r\n")
                upload.send(isChunked ? "\(String(content.utf8.count, radix: 16))\r\n\(content)\r\n0\r\n\r\n" : content)
                let answer = try await upload.everything()
                #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(answer.hasSuffix("{\"bytes\":\(content.utf8.count)}\n"))
                let body = try await download.everything()
                #expect(body.hasPrefix("HTTP/1.1 200 OK\r\n"))
                #expect(body.contains(length))
                #expect(Self.content(of: body) == content)
                try await nodes.down.directory.wait(for: transfer, .finished(bytes: UInt64(content.utf8.count)))
            }
            #expect(nodes.down.services.streams.counts == StreamCounts(toReceivers: 8, toNodes: 0))
            if layout == .twoNodes {
                #expect(nodes.up.services.streams.counts == StreamCounts(toReceivers: 0, toNodes: 8))
            }
            // The test ends, with its time limit, when the last has gone.
            while nodes.streams > 0 { await Task.yield() }
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func asksForTheBodyOnlyOnceTheReceiverIsThere(layout: StreamLayout) async throws {
        try await layout.withNodes { nodes in
            let (_, up, download) = try await nodes.down.parked()
            let upload = try await nodes.up.connect()
            upload.send(
                "PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            )
            try await upload.received("HTTP/1.1 100 Continue\r\n\r\n")
            upload.send("hi")
            #expect(try await download.everything().hasSuffix("\r\n\r\nhi"))
            #expect(try await upload.everything().contains("HTTP/1.1 200 OK"))
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func tellsTheSenderThatTheReceiverIsGone(layout: StreamLayout) async throws {
        try await layout.withNodes { nodes in
            let (transfer, up, download) = try await nodes.down.parked()
            let upload = try await nodes.up.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            try await download.received("some")
            download.close()
            try await nodes.down.directory.wait(for: transfer, .cut(.receiverGone, bytes: 4))
            #expect(try await upload.received("receiver_gone").hasPrefix("HTTP/1.1 502 "))
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func neverMakesACutLookLikeAnEnd(layout: StreamLayout) async throws {
        try await layout.withNodes { nodes in
            let (transfer, up, download) = try await nodes.down.parked()
            let upload = try await nodes.up.connect()
            upload.send(
                "PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n"
            )
            try await download.received("some")
            upload.close()
            #expect(!(try await download.everything().contains("0\r\n\r\n")))
            switch layout {
            case .oneNode: try await nodes.down.directory.wait(for: transfer, .cut(.senderGone, bytes: 4))
            case .twoNodes:
                // Without TLS the node cannot tell which side cut the stream.
                try await nodes.down.directory.wait(for: transfer, .cut(.clusterUnavailable, bytes: 4))
                try await nodes.down.directory.wait(for: transfer, .cut(.senderGone, bytes: 0))
            }
        }
    }

    @Test(arguments: StreamLayout.allCases)
    func holdsTheSenderBackWhileTheReceiverTakesNothing(layout: StreamLayout) async throws {
        try await layout.withNodes { nodes in
            let (transfer, up, down) = nodes.down.directory.mint()
            let download = try await nodes.down.connect(reading: false)
            download.send("GET /download?token=\(down.rawValue) HTTP/1.1\r\nHost: r\r\n\r\n")
            try await nodes.down.directory.wait(for: transfer, .downloadParked)
            let upload = try await nodes.up.connect()
            let total = 64 << 20
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: \(total)\r\n\r\n")
            let piece = String(repeating: "x", count: 1 << 20)
            for _ in 0..<64 { upload.send(piece) }
            try await upload.blocked()
            // The receiver wakes up and gets every byte.
            download.startReading()
            #expect(try await upload.everything().contains("{\"bytes\":\(total)}"))
            #expect(try await download.everything().utf8.count > total)
        }
    }

    @Test func answersBothHalvesWhenTheTransferIsEndedByOthers() async throws {
        try await StreamLayout.oneNode.withNodes { nodes in
            let (transfer, _, download) = try await nodes.down.parked()
            nodes.down.services.streams.end(StreamKey(home: .alone, transfer: transfer), .failed(.cancelled))
            let answer = try await download.everything()
            #expect(answer.hasPrefix("HTTP/1.1 502 "))
            #expect(answer.contains("\"cancelled\""))
            while nodes.streams > 0 { await Task.yield() }
        }
    }

    @Test func afterABadTokenTheAnswerArrivesAlthoughTheBodyIsStillComing() async throws {
        try await StreamLayout.oneNode.withNodes { nodes in
            let upload = try await nodes.up.connect()
            let wrong = Token.random().rawValue
            upload.send("PUT /upload?token=\(wrong) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000000\r\n\r\n")
            upload.send(String(repeating: "x", count: 1_000_000))
            let answer = try await upload.everything()
            #expect(answer.hasPrefix("HTTP/1.1 403 "))
            #expect(answer.contains("token_refused"))
        }
    }

    @Test func aNodeThatIsNotReachedIsSaidToBe() async throws {
        try await StreamLayout.twoNodes.withNodes { nodes in
            let (transfer, up, download) = try await nodes.down.parked()
            try await nodes.door?.close()
            let upload = try await nodes.up.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            #expect(try await upload.received("cluster_unavailable").hasPrefix("HTTP/1.1 503 "))
            try await nodes.up.directory.wait(for: transfer, .cut(.clusterUnavailable, bytes: 0))
            // A stream that is still there would outlive the event loops.
            download.close()
            while nodes.streams > 0 { await Task.yield() }
        }
    }

    @Test func aStreamThatTheOtherNodeDoesNotHaveIsRefused() async throws {
        try await StreamLayout.twoNodes.withNodes { nodes in
            let (transfer, up, _) = nodes.down.directory.mint()
            let upload = try await nodes.up.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            #expect(try await upload.received("receiver_gone").hasPrefix("HTTP/1.1 502 "))
            try await nodes.up.directory.wait(for: transfer, .cut(.receiverGone, bytes: 0))
        }
    }

    /// The body of an answer, without what frames it.
    private static func content(of answer: String) -> String {
        guard let end = answer.firstRange(of: "\r\n\r\n") else { return "" }
        let body = answer[end.upperBound...]
        guard answer[..<end.lowerBound].contains("chunked") else { return String(body) }
        var reader = RequestBodyReader(.chunked)
        var buffer = ByteBuffer(string: String(body))
        var content = ""
        while case .content(let piece) = reader.next(&buffer) { content += String(buffer: piece) }
        return reader.isComplete ? content : "cut"
    }
}
