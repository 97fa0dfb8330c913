// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOPosix
import RelayNode
import RelayTestFixtures
import Testing

@testable import RelayCluster

@Suite("What operators ask of another node")
struct InquiryTests {
    private func ask(_ node: TestNode, _ inquiry: String, as asker: TestNode) async throws -> String {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: String.self)
        NodeDialer(asker.identity).connect(to: node.id, at: node.address, on: loop) { channel in
            try channel.pipeline.syncOperations.addHandler(InquiryHandler(inquiry, to: node.id, answer: answer))
        }.whenFailure { answer.fail($0) }
        return try await answer.futureResult.get()
    }

    @Test("is answered to the node that the certificate names, and what it does not know is refused")
    func answers() async throws {
        let book = TestBook()
        let (a, b) = (try await TestNode("a", book), try await TestNode("b", book))
        #expect(try await ask(a, #"{"status":{}}"#, as: b) == #"{"status":{}} of b"#)
        let long = String(repeating: "x", count: 8000)
        #expect(try await ask(a, long, as: b) == "\(long) of b")
        await #expect(throws: ClusterUnavailable(reason: "it runs another version")) {
            try await ask(a, "nonsense", as: b)
        }
        try await a.stop()
        try await b.stop()
    }

    @Test("a request without one inquiry, or with a body, is malformed")
    func malformed() async throws {
        let book = TestBook()
        let (a, b) = (try await TestNode("a", book), try await TestNode("b", book))
        for fields in [
            "", "Relay-Inquiry: a\r\nRelay-Inquiry: b\r\nContent-Length: 0\r\n",
            "Relay-Inquiry: a\r\nContent-Length: 1\r\n", "Relay-Inquiry: a\r\nTransfer-Encoding: chunked\r\n",
        ] {
            let request = "POST /inquiry HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
            let answer = try await TestCaller.request(request, of: a, as: b.identity)
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
        }
        try await a.stop()
        try await b.stop()
    }
}
