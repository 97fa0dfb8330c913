// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import NIOCore
import NIOPosix
import PrivateFiles
import RelayNode
import RelayTestFixtures
import ServerSystem
import TestSupport
import Testing
import TransferBroker
import WSProtocol

@testable import RelayServerProgram

@Suite("The admin socket")
struct AdminSocketTests {
    private let temporary: TemporaryDirectory
    private let path: String

    init() throws {
        temporary = try TemporaryDirectory()
        path = temporary.file("s")
    }

    private func responder(_ users: FileUserDirectory, _ events: EventLog = EventLog()) -> AdminResponder {
        AdminResponder(users: users, server: FakeServer(events: events), node: nil, others: nil, audit: nil)
    }

    private func bind(
        in directory: StateDirectory, _ responder: AdminResponder, _ inherited: InheritedSockets = InheritedSockets()
    ) async throws(OperatorError) -> AdminServer {
        try await AdminServer.bind(
            in: directory, group: MultiThreadedEventLoopGroup.singleton, responder: responder,
            accepts: AcceptWatch(limit: 1000, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }),
            inherited: inherited)
    }

    @Test("no look at the server is larger than a reply may be, whatever is asked for")
    func topIsBounded() async throws {
        try await withServer { client, _, _ in
            guard case .top(let top) = try await client.ask(.top(limit: .max)) else {
                Issue.record("another reply")
                return
            }
            #expect(top.transfers.count == Defaults.Admin.mostInTop)
            guard case .top(let none) = try await client.ask(.top(limit: -5)) else {
                Issue.record("another reply")
                return
            }
            #expect(none.transfers.isEmpty)
        }
    }

    /// Runs `body` beside a server of the socket.
    private func withServer(
        _ body: (AdminClient, FileUserDirectory, EventLog) async throws -> Void
    ) async throws {
        let directory = try StateDirectory(path: path)
        let users = try FileUserDirectory(file: RegistryFile(directory: directory), mode: .open, repaired: { _ in })
        let events = EventLog()
        let server = try await bind(in: directory, responder(users, events))
        try await server.start()
        do {
            try await body(AdminClient(stateDirectory: path), users, events)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
        let names = try temporary.names(in: "s")
        #expect(!names.contains("admin.sock"))
    }

    @Test("every request has its reply")
    func requests() async throws {
        try await withServer { client, users, events in
            #expect(try TemporaryDirectory.mode(of: path + "/admin.sock") == 0o600)
            #expect(try await client.ask(.status) == .status(status: FakeServer.status))
            let alice = PeerName.test("alice")
            let reply = try await client.ask(.invite(name: alice, lifetime: 60))
            guard case .invited(let code, _) = reply else {
                Issue.record("\(reply)")
                return
            }
            #expect(code.rawValue.utf8.count >= 22)
            let spare = try await client.ask(.invite(name: nil, lifetime: 60))
            guard case .invited(let lost, _) = spare else {
                Issue.record("\(spare)")
                return
            }
            #expect(users.counts().invitations == 2)
            #expect(try await client.ask(.withdraw(code: lost)) == .withdrawn)
            #expect(try await client.ask(.withdraw(code: lost)) == .withdrawn)
            #expect(users.counts().invitations == 1)
            let key = SigningKey.random()
            _ = try await users.register(User(name: alice, key: key), invitation: nil)
            #expect(try await client.users().map(\.name) == [alice])
            let taken = await #expect(throws: OperatorError.self) {
                try await client.ask(.invite(name: alice, lifetime: 60))
            }
            #expect(taken?.status == .refused)
            #expect(try await client.ask(.remove(name: alice)) == .removed(name: alice))
            let gone = await #expect(throws: OperatorError.self) { try await client.ask(.remove(name: alice)) }
            #expect(gone?.message == "no user has registered alice")
            #expect(
                try await client.ask(.drain)
                    == .draining(transfers: 3, seconds: Defaults.Operations.drainTimeout)
            )
            // The second time too: a cluster's registry may not know whose sessions are here. The drain begins behind
            // its reply.
            try await eventually("the drain") { events.all == ["removed alice", "removed alice", "drain"] }
        }
    }

    @Test("a server hears that the answer to a restart is sent, which it waits for before it leaves")
    func restart() async throws {
        try await withServer { client, _, events in
            let outcome = FakeServer.reloaded
            #expect(try await client.ask(.reload) == .reloaded(outcome: outcome))
            #expect(try await client.ask(.restart) == .restarted(process: FakeServer.successor, transfers: 3))
            try await eventually("the word that it is sent") {
                events.all == ["reload", "restart", "restart answered"]
            }
        }
    }

    @Test("a socket of a process whose place is taken keeps its name until that process has left")
    func takenOver() async throws {
        let directory = try StateDirectory(path: path)
        let users = try FileUserDirectory(file: RegistryFile(directory: directory), mode: .open, repaired: { _ in })
        let responder = self.responder(users)
        let name = try AdminSocket.path(in: path)
        for hasLeft in [false, true] {
            unlink(name)
            let inherited = InheritedSockets([
                .init(
                    purpose: .admin, address: AdminSocket.name, descriptor: try UnixAddress.listen(name, backlog: 1))
            ])
            let server = try await bind(in: directory, responder, inherited)
            try await server.start()
            if hasLeft { server.takenOver() }
            await server.stop()
            #expect(try temporary.names(in: "s").contains("admin.sock") == !hasLeft)
        }
    }

    @Test("another node asks about sessions and transfers of this one, and about nothing else")
    func inquiries() async throws {
        let directory = try StateDirectory(path: path)
        let users = try FileUserDirectory(file: RegistryFile(directory: directory), mode: .open, repaired: { _ in })
        let responder = self.responder(users)
        let (n2, n3, name) = (NodeID.test("n2"), NodeID.test("n3"), PeerName.test("alice"))
        let allowed: [AdminRequest] = [
            .sessions(after: 0), .transfers(after: nil), .close(session: "n1-1"), .cancel(transfer: .random()),
        ]
        for request in allowed {
            #expect(await responder.answer(inquiry: try StrictJSON.encode(request), of: n2) != nil, "\(request)")
        }
        let others: [AdminRequest] = [
            .status, .top(limit: 1), .nodes, .users(after: nil), .invitations(after: nil), .reload, .restart, .drain,
            .invite(name: nil, lifetime: 60), .disable(name: name), .remove(name: name),
            .sessions(after: 0, node: n3), .transfers(after: nil, node: n3),
        ]
        for request in others {
            #expect(await responder.answer(inquiry: try StrictJSON.encode(request), of: n2) == nil, "\(request)")
        }
        #expect(await responder.answer(inquiry: "nonsense", of: n2) == nil)
        #expect(users.counts() == (0, 0))
    }

    @Test("a path that is too long for a socket is refused with what to do")
    func longPath() async throws {
        let directory = try StateDirectory(path: temporary.file(String(repeating: "d", count: 104)))
        let users = try FileUserDirectory(file: RegistryFile(directory: directory), mode: .open, repaired: { _ in })
        let responder = self.responder(users)
        let refused = await #expect(throws: OperatorError.self) {
            try await bind(in: directory, responder)
        }
        #expect(refused?.status == .configuration && refused?.message.contains("shorter --state-dir") == true)
    }

    @Test("users come page by page, each once")
    func pages() async throws {
        try await withServer { _, users, _ in
            for number in 0..<5 {
                _ = try await users.register(
                    User(name: .test("user\(number)"), key: .random()), invitation: nil)
            }
            let first = users.users(after: nil, limit: 3)
            #expect(first.users.map(\.name.rawValue) == ["user0", "user1", "user2"])
            #expect(!first.isLast)
            let second = users.users(after: first.users.last?.name, limit: 3)
            #expect(second.users.map(\.name.rawValue) == ["user3", "user4"])
            #expect(second.isLast)
            #expect(users.users(after: .test("zoe"), limit: 3).users.isEmpty)
        }
    }

    @Test("what is not a request gets an answer in words", arguments: ["\n", "{}\n", "{\"status\":1}\n", "\u{0}\n"])
    func malformed(text: String) async throws {
        try await withServer { _, _, _ in
            let answer = try await broker(Array(text.utf8))
            guard case .failed(_, let exit)? = AdminLine.decode(AdminReply.self, ByteBuffer(bytes: answer)) else {
                Issue.record("\(String(decoding: answer, as: UTF8.self))")
                return
            }
            #expect(exit == ExitStatus.protocolError.rawValue)
        }
    }

    @Test("an endless request is cut off")
    func endless() async throws {
        try await withServer { client, _, _ in
            let answer = try await broker(Array(repeating: 0x20, count: Defaults.Admin.maximumRequest + 1))
            #expect(String(decoding: answer, as: UTF8.self).contains("failed"))
            #expect(try await client.ask(.status) == .status(status: FakeServer.status))
        }
    }

    /// Sends `bytes` and returns all that comes back until the server closes.
    private func broker(_ bytes: [UInt8]) async throws -> [UInt8] {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(unixDomainSocketPath: path + "/admin.sock") { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(bytes: bytes))
            var answer: [UInt8] = []
            for try await piece in inbound { answer += Array(piece.readableBytesView) }
            return answer
        }
    }

    @Test("without a server the message says so")
    func noServer() async throws {
        let error = await #expect(throws: OperatorError.self) {
            try await AdminClient(stateDirectory: path).ask(.status)
        }
        #expect(error?.status == .unavailable)
        #expect(error?.message.contains("no relay-server runs") == true)
    }

    @Test("a socket left behind by a killed server is replaced; a live one, or a file, is refused")
    func leftovers() async throws {
        try PrivateFolder.make(path)
        let socket = path + "/admin.sock"
        #expect(AdminSocket.occupant(of: socket) == .nothing)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(unixDomainSocketPath: socket).get()
        #expect(AdminSocket.occupant(of: socket) == .live)
        let live = #expect(throws: OperatorError.self) { try AdminSocket.clear(socket) }
        #expect(live?.status == .unavailable)
        // Who is killed leaves the file behind; a second name for it outlives the orderly close.
        try FileManager.default.linkItem(atPath: socket, toPath: socket + ".kept")
        try await listener.close()
        #expect(rename(socket + ".kept", socket) == 0)
        #expect(AdminSocket.occupant(of: socket) == .stale)
        try await withServer { client, _, _ in
            let reply = try await client.ask(.status)
            #expect(reply == .status(status: FakeServer.status))
        }
        #expect(FileManager.default.createFile(atPath: socket, contents: nil))
        #expect(AdminSocket.occupant(of: socket) == .foreign)
        let foreign = #expect(throws: OperatorError.self) { try AdminSocket.clear(socket) }
        #expect(foreign?.status == .configuration)
        #expect(FileManager.default.fileExists(atPath: socket))
    }

    @Test("a path that no Unix socket can have is refused in words")
    func tooLong() throws {
        let longest = "/" + String(repeating: "d", count: 107 - 12)
        #expect(try AdminSocket.path(in: longest).utf8.count == 107)
        let error = #expect(throws: OperatorError.self) { try AdminSocket.path(in: longest + "d") }
        #expect(error?.status == .configuration)
        #expect(error?.message.contains("too long") == true)
    }

    @Test("a line comes out the same whole, byte by byte, and with something behind it")
    func assembler() {
        let text = Array("hello\n".utf8)
        let line = ByteBuffer(string: "hello")
        var whole = LineAssembler(limit: 5)
        #expect(whole.feed(ByteBuffer(bytes: text)) == .line(line))
        var bytewise = LineAssembler(limit: 5)
        for byte in text.dropLast() { #expect(bytewise.feed(ByteBuffer(bytes: [byte])) == .needMore) }
        #expect(bytewise.feed(ByteBuffer(string: "\n")) == .line(line))
        var coalesced = LineAssembler(limit: 5)
        #expect(coalesced.feed(ByteBuffer(string: "hello\nworld\n")) == .line(line))
        var tooLong = LineAssembler(limit: 4)
        #expect(tooLong.feed(ByteBuffer(bytes: text)) == .tooLong)
    }
}
