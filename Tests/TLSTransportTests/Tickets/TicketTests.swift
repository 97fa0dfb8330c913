// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import TLSTransport

/// Resumption at another server, by OpenSSL's own client.
@Suite(.timeLimit(.minutes(5))) struct TicketTests {
    private static let versions = ["-tls1_2", "-tls1_3"]

    private func context(_ tickets: TicketKeys) throws -> TLSContext {
        let files = try Fixture.certificates
        return try .server(
            certificateChain: files.server, privateKey: files.serverKey, applicationProtocols: [], tickets: tickets)
    }

    /// One conversation of `openssl s_client` with a server of its own; returns what the client printed.
    private func talk(_ context: TLSContext, _ version: String, _ session: [String]) async throws -> String {
        let server = try await LoopbackServer(context, EchoHandler.init)
        let result: Result<String, any Error>
        do {
            let child = try ChildProcess(
                "openssl",
                ["s_client", "-connect", "127.0.0.1:\(server.port)", "-servername", "localhost", version]
                    + ["-CAfile", try Fixture.certificates.ca, "-verify_return_error"] + session)
            try child.send("hello\n")
            try await child.wait(for: "hello\n")
            try child.send("quit\n")
            _ = try await child.exitStatus()
            result = .success(child.output)
        } catch {
            result = .failure(error)
        }
        try await server.stop()
        return try result.get()
    }

    /// Whether a session of `first` is resumed at `second`; `between` happens in the meantime.
    private func isReused(
        _ first: TicketKeys, _ second: TicketKeys, _ version: String, between: () -> Void = {}
    ) async throws -> Bool {
        let directory = try TemporaryDirectory()
        let file = directory.file("session")
        let full = try await talk(context(first), version, ["-sess_out", file])
        #expect(full.contains("New, TLSv1."))
        between()
        let again = try await talk(context(second), version, ["-sess_in", file])
        #expect(again.contains("Reused, TLSv1.") != again.contains("New, TLSv1."))
        return again.contains("Reused, TLSv1.")
    }

    @Test(arguments: versions) func oneKeyringAtTwoServersResumes(version: String) async throws {
        let keyring = TicketKeyring(.random(created: 0))
        #expect(try await isReused(TicketKeys(keyring), TicketKeys(keyring), version))
    }

    @Test(arguments: versions) func otherKeysMeanAFullHandshake(version: String) async throws {
        #expect(try await !isReused(TicketKeys(), TicketKeys(), version))
    }

    @Test(arguments: versions) func anOlderGenerationResumesAndAForgottenOneDoesNot(version: String) async throws {
        for (newer, isReused) in [(2, true), (3, false)] {
            var keyring = TicketKeyring(.random(created: 0))
            let keys = TicketKeys(keyring)
            let outcome = try await self.isReused(keys, keys, version) {
                for _ in 0..<newer { keyring.add(.random(created: 0)) }
                keys.replace(with: keyring)
            }
            #expect(outcome == isReused)
        }
    }

    /// A client that keeps coming is given tickets of the newest key, so that it can always resume.
    @Test func olderTicketsAreRenewed() throws {
        var keyring = TicketKeyring(.random(created: 0))
        let keys = TicketKeys(keyring)
        let (client, server) = (try Fixture.client(), try context(keys))
        var resumed: [Bool?] = []
        for _ in 0..<8 {
            let joined = try JoinedChannels(
                client: TLSHandler(client: client, serverName: .dns("localhost"), port: 443),
                server: TLSHandler(server: server))
            try joined.pump()
            resumed.append(joined.client.recorder.summary?.isResumed)
            joined.client.channel.close(promise: nil)
            try joined.pump()
            keyring.add(.random(created: 0))
            keys.replace(with: keyring)
        }
        #expect(resumed.first == false)
        #expect(resumed.filter { $0 == true }.count >= 4)
    }
}
