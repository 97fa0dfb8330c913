// SPDX-License-Identifier: Apache-2.0

import NIOCore
import RelayTestFixtures
import StreamRelay
import Testing
import TransferBroker
import WSProtocol

@testable import RelayNode

@Suite(.timeLimit(.minutes(5))) struct StreamStopTests {
    @Test(arguments: StreamLayout.allCases) func whatStillRunsIsCutAndSaysWhy(layout: StreamLayout) async throws {
        try await layout.withNodes { nodes in
            let (transfer, up, download) = try await nodes.down.parked()
            let upload = try await nodes.up.connect()
            upload.send("PUT /upload?token=\(up.rawValue) HTTP/1.1\r\nHost: r\r\nContent-Length: 1000\r\n\r\nsome")
            try await download.received("some")
            for cut in nodes.up.services.streams.abortEverything(code: .draining) { try await cut.get() }
            try await nodes.up.directory.wait(
                for: transfer, .cut(.draining, bytes: layout == .oneNode ? 4 : 0))
            #expect(nodes.up.services.streams.count == 0)
            #expect(try await upload.received("draining").hasPrefix("HTTP/1.1 503 "))
            #expect(try await download.everything().hasSuffix("some"))
        }
    }
}
