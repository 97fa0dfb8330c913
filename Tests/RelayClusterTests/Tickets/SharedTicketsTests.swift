// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import NIOCore
import ServerSystem
import TLSTransport
import TestSupport
import Testing
import WSProtocol

@testable import RelayCluster

@Suite("Session ticket keys of a cluster", .serialized)
struct SharedTicketsTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func sealing(_ digit: String = "a") throws -> SealedTickets {
        SealedTickets(try ClusterSecret(path: secretFile(directory, digit, name: "secret-\(digit)")))
    }

    @Test("nodes with one secret have one keyring, which the first node that notices rotates")
    func shared() async throws {
        let redis = try await RedisServer()
        let path = try secretFile(directory)
        let nodes = try (1...3).map { try RoutedNode("n\($0)", redis, port: 1000 + UInt16($0), secret: path) }
        try await withNodes(nodes) {
            try await eventually("one keyring") {
                let isStored = try await redis.keys().contains("{relay}:tickets")
                return isStored && Set(nodes.map(\.tickets.keyring)).count == 1
            }
            let sealing = try sealing()
            let now = try #require(try await Int64(redis.command("TIME").prefix(while: \.isNumber)))
            let current = nodes[0].tickets.keyring
            #expect(try await sealing.open(redis.command("GET", "{relay}:tickets")) == current)

            // Older keys than the nodes have are not taken over: another process put them back.
            let old = TicketKeyring(.random(created: now - 1000))
            try await redis.command("SET", "{relay}:tickets", try #require(sealing.seal(old)))
            try await eventually("the newer keys") {
                try await sealing.open(redis.command("GET", "{relay}:tickets")) == current
            }
            // Emptied, the same keys come back.
            try await redis.command("DEL", "{relay}:tickets")
            try await eventually("the same keys") {
                try await sealing.open(redis.command("GET", "{relay}:tickets")) == current
            }
        }
        // A new cluster finds keys of yesterday: they stay, and a new one comes in front.
        let now = try #require(try await Int64(redis.command("TIME").prefix(while: \.isNumber)))
        let due = TicketKeyring(.random(created: now - 13 * 3600))
        try await redis.command("SET", "{relay}:tickets", try #require(try sealing().seal(due)))
        let later = try (4...6).map { try RoutedNode("n\($0)", redis, port: 1000 + UInt16($0), secret: path) }
        try await withNodes(later) {
            try await eventually("a rotated keyring") {
                let keyrings = Set(later.map(\.tickets.keyring))
                return keyrings.count == 1 && keyrings.first?.keys.count == 2
            }
            #expect(later[0].tickets.keyring.keys.last == due.keys.first)
            let life = try await Int(redis.command("PTTL", "{relay}:tickets")) ?? 0
            #expect(life > 0)
        }
    }

    @Test("a node with another secret keeps keys of its own, and leaves the others' keys alone")
    func otherSecret() async throws {
        let redis = try await RedisServer()
        let a = try RoutedNode("a", redis, port: 1001, secret: secretFile(directory, "a", name: "one"))
        let b = try RoutedNode("b", redis, port: 1002, secret: secretFile(directory, "b", name: "two"))
        try await withNodes([a]) {
            try await eventually("keys") { try await redis.keys().contains("{relay}:tickets") }
            let sealed = try await redis.command("GET", "{relay}:tickets")
            try await withNodes([b]) {
                let own = b.tickets.keyring
                try await b.parts.routing.tickets.refresh(rotated: {}).get()
                #expect(b.tickets.keyring == own)
                #expect(try await redis.command("GET", "{relay}:tickets") == sealed)
                #expect(a.tickets.keyring != b.tickets.keyring)
            }
        }
    }

    @Test("a sealed keyring opens again, and nothing else does")
    func sealed() throws {
        let sealing = try sealing()
        var keyring = TicketKeyring(.random(created: 1))
        keyring.add(.random(created: .max))
        keyring.add(.random(created: -7))
        let text = try #require(sealing.seal(keyring))
        #expect(sealing.open(text) == keyring)
        #expect(sealing.seal(keyring) != text, "a nonce was used twice")
        #expect(try self.sealing("b").open(text) == nil)
        var generator = SeededGenerator(seed: 1)
        for index in text.indices {
            var damaged = text
            damaged.replaceSubrange(index...index, with: text[index] == "A" ? "B" : "A")
            #expect(sealing.open(damaged) == nil)
        }
        for count in [0, 1, 12, 28, 40, 88 + 28, 5000] {
            let noise = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            #expect(sealing.open(noise.map { String($0, radix: 16) }.joined()) == nil)
        }
        #expect(sealing.open("") == nil)
    }

    @Test("a sealed text that is no keyring is refused")
    func hostileContents() throws {
        let secret = try #require(ClusterSecret(bytes: [UInt8](repeating: 7, count: 32)))
        let opening = SealedTickets(secret)
        let key = secret.key(for: "relay ticket keys v1")
        let generations = (1...4).map { [UInt8](repeating: $0, count: 88) }
        let valid = (1...4).map { Array(generations.prefix($0).joined()) } + [generations[0] + generations[0]]
        for input in HostileInputs(damaging: valid, seed: 29, count: 2000) {
            let box = try AES.GCM.seal(input.bytes, using: key, authenticating: Array("{relay}:tickets".utf8))
            let text = Base64URL.encode(try #require(box.combined))
            guard let keyring = opening.open(text) else { continue }
            #expect(keyring.keys.count * 88 == input.bytes.count, "\(input)")
            #expect((1...3).contains(keyring.keys.count) && Set(keyring.keys.map(\.name)).count == keyring.keys.count)
            _ = TicketDecision(.keyring(keyring), current: keyring, now: 1_000_000)
        }
    }

    @Test("what is done about keys depends on what is there and how old it is")
    func decisions() throws {
        let now: Int64 = 1_000_000
        let fresh: (Int64) -> TicketKeyring.Key = { Self.key($0) }
        func decide(_ stored: TicketDecision.Stored, _ current: TicketKeyring? = nil) -> TicketDecision {
            TicketDecision(stored, current: current, now: now, fresh: fresh)
        }
        let young = TicketKeyring(Self.key(now - 60))
        let older = TicketKeyring(Self.key(now - 600))
        let due = TicketKeyring(Self.key(now - 12 * 3600))
        let future = TicketKeyring(Self.key(now + 3600))
        let new = TicketKeyring(Self.key(now))
        var rotated = due
        rotated.add(Self.key(now))
        #expect(decide(.nothing) == .write(new))
        #expect(decide(.nothing, young) == .write(young))
        #expect(decide(.nothing, due) == .write(rotated))
        #expect(decide(.unreadable) == .keepOwn)
        #expect(decide(.unreadable, young) == .keepOwn)
        #expect(decide(.keyring(young)) == .use(young))
        #expect(decide(.keyring(young), older) == .use(young))
        #expect(decide(.keyring(older), young) == .write(young))
        #expect(decide(.keyring(due)) == .write(rotated))
        #expect(decide(.keyring(future)) == .write(new))
        #expect(decide(.keyring(young), future) == .use(young))
    }

    private static func key(_ created: Int64) -> TicketKeyring.Key {
        let bytes = withUnsafeBytes(of: created.littleEndian) { Array($0) + Array($0) }
        guard
            let key = TicketKeyring.Key(
                name: bytes, encryption: bytes + bytes, authentication: bytes + bytes, created: created)
        else { fatalError("not a key") }
        return key
    }

    @Test("a secret is 32 bytes or more in hexadecimal, and its file is for its owner and its group to read")
    func secret() throws {
        func failure(_ contents: String, mode: Int = 0o600) throws -> String? {
            let path = try directory.write(Data(contents.utf8), to: "s")
            // One that may not be written is in the way of the next.
            defer { try? FileManager.default.removeItem(atPath: path) }
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
            do {
                #expect("\(try ClusterSecret(path: path))" == "[redacted]")
                return nil
            } catch {
                #expect(error.status == .configuration)
                return error.message
            }
        }
        let digits = String(repeating: "0a", count: 32)
        #expect(try failure(digits) == nil)
        #expect(try failure(digits + "ffFF\r\n") == nil)
        for wrong in ["", digits.dropLast(2) + "", digits + "0", digits + "zz", " " + digits, digits + "\n" + digits] {
            let message = try #require(try failure(wrong))
            #expect(message.contains("hexadecimal") && !message.contains("0a0a"))
        }
        for mode in [0o640, 0o440, 0o400] { #expect(try failure(digits, mode: mode) == nil) }
        for mode in [0o644, 0o604, 0o601, 0o660, 0o650] {
            #expect(try failure(digits, mode: mode)?.contains("chmod 600") == true)
        }
        #expect(try failure(String(repeating: "0", count: 10_000)) != nil)
        #expect(throws: OperatorError.self) { try ClusterSecret(path: directory.file("none")) }
    }
}
