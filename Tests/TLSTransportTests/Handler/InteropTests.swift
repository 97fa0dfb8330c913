// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import TLSTransport

/// Other people's TLS on real sockets.
@Suite(.timeLimit(.minutes(5))) struct InteropTests {
    private func withServer(
        _ handler: @escaping @Sendable () -> any ChannelHandler & Sendable, _ body: (Int) async throws -> Void
    ) async throws {
        let server = try await LoopbackServer(try Fixture.server(), handler)
        do { try await body(server.port) } catch {
            try await server.stop()
            throw error
        }
        try await server.stop()
    }

    private func client(_ port: Int, _ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(
            "openssl",
            ["s_client", "-connect", "127.0.0.1:\(port)", "-servername", "localhost"]
                + ["-CAfile", try Fixture.certificates.ca, "-verify_return_error", "-verify_hostname", "localhost"]
                + arguments)
    }

    @Test(arguments: [
        ("-tls1_2", "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("-tls1_2", "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("-tls1_2", "TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("-tls1_3", "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        ("-tls1_3", "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
        ("-tls1_3", "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"),
    ])
    func opensslClientSpeaksToUs(option: String, version: String, suite: String) async throws {
        try await withServer(EchoHandler.init) { port in
            let choice = option == "-tls1_2" ? ["-cipher", suite] : ["-ciphersuites", suite]
            let child = try client(port, [option, "-alpn", "http/1.1"] + choice)
            try child.send("good morning\n")
            try await child.wait(for: "good morning")
            try child.send("quit\n")
            #expect(try await child.exitStatus() == 0)
            #expect(child.output.contains("New, \(version), Cipher is \(suite)"))
            #expect(child.output.contains("ALPN protocol: http/1.1"))
            #expect(child.output.contains("closed"))
        }
    }

    @Test(arguments: [
        ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-SHA"],
        ["-alpn", "h2"], ["-groups", "P-521"],
    ])
    func opensslClientIsRefused(arguments: [String]) async throws {
        try await withServer(EchoHandler.init) { port in
            let child = try client(port, arguments)
            #expect(try await child.exitStatus() == 1)
            #expect(child.errors.contains("alert"))
        }
    }

    @Test func renegotiationIsRefused() async throws {
        try await withServer(EchoHandler.init) { port in
            let child = try client(port, ["-tls1_2"])
            try child.send("before\n")
            try await child.wait(for: "before")
            try child.send("R\n")
            try child.closeInput()
            #expect(try await child.exitStatus() == 1)
            #expect(child.errors.contains("no renegotiation"))
        }
    }

    @Test func keyUpdateFromOpenssl() async throws {
        try await withServer(EchoHandler.init) { port in
            let child = try client(port, ["-tls1_3"])
            try child.send("before\n")
            try await child.wait(for: "before")
            try child.send("K\n")
            try await child.wait(for: "KEYUPDATE")
            try child.send("after\n")
            try await child.wait(for: "after")
            try child.send("quit\n")
            #expect(try await child.exitStatus() == 0)
        }
    }

    @Test func curlGetsAnAnswerAndSeesACut() async throws {
        let ca = try Fixture.certificates.ca
        try await withServer(WebHandler.init) { port in
            for host in ["localhost", "127.0.0.1"] {
                let good = try await ChildProcess.run(
                    "curl", ["-sS", "--noproxy", "*", "--cacert", ca, "https://\(host):\(port)/"])
                #expect(good.status == 0)
                #expect(good.output == "hello")
            }
            let bad = try await ChildProcess.run("curl", ["-sS", "--noproxy", "*", "https://localhost:\(port)/"])
            #expect(bad.status == 60)
        }
    }

    @Test func pythonTellsAnEndFromACut() async throws {
        let ca = try Fixture.certificates.ca
        let program = """
            import socket, ssl, sys
            context = ssl.create_default_context(cafile=sys.argv[1])
            with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as plain:
                with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
                    tls.sendall(b"x" * 100000 + b" " + sys.argv[3].encode() + b"\\n")
                    count = 0
                    try:
                        while data := tls.recv(65536):
                            count += len(data)
                        print("end", count)
                    except (ssl.SSLEOFError, ConnectionResetError):
                        print("cut")
            """
        try await withServer(EchoHandler.init) { port in
            for (word, answer) in [("quit", "end 100006\n"), ("cut", "cut\n")] {
                let result = try await ChildProcess.run("python3", ["-c", program, ca, "\(port)", word])
                #expect(result.output == answer, "\(result.errors)")
            }
        }
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"])
    func weSpeakToAnOpensslServer(option: String) async throws {
        let files = try Fixture.certificates
        let child = try ChildProcess(
            "openssl",
            ["s_server", "-accept", "127.0.0.1:0", "-cert", files.server, "-key", files.serverKey, "-www", option])
        try await child.wait(for: "ACCEPT 127.0.0.1:")
        let line = child.output.split(separator: "\n").first { $0.hasPrefix("ACCEPT 127.0.0.1:") }
        let port = try #require(line.flatMap { Int($0.dropFirst("ACCEPT 127.0.0.1:".count)) })
        let result = try await LoopbackClient.talk(
            try Fixture.client(), name: "localhost", port: port, request: "GET / HTTP/1.0\r\n\r\n")
        #expect(result.errors == [])
        #expect(result.text.hasPrefix("HTTP/1.0 200 ok"))
        guard case .handshakeCompleted(let summary)? = result.events.first else {
            Issue.record("no handshake: \(result.events)")
            return
        }
        #expect(summary.version == (option == "-tls1_2" ? "TLSv1.2" : "TLSv1.3"))
        let wrong = try await LoopbackClient.talk(
            try Fixture.client(), name: "other.test", port: port, request: "")
        #expect(wrong.errors.map(\.code) == [.nameMismatch])
    }

    @Test func aSessionMovesToAnotherEventLoopWithItsSocket() async throws {
        let server = try await MovingServer(try Fixture.server())
        let result = try await LoopbackClient.talk(
            try Fixture.client(), name: "localhost", port: server.port, request: "quit\n")
        try await server.stop()
        #expect(result.text == "moved quit\n")
        #expect(result.events.last == .peerClosed)
        #expect(result.errors == [])
    }
}
