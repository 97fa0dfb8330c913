// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing
import WSProtocol

/// The document and the code say the same.
@Suite struct WireDocumentTests {
    @Test func everyExampleIsTheTextOfItsMessage() throws {
        var clientKinds: Set<ClientMessage.Kind> = []
        var serverKinds: Set<ServerMessage.Kind> = []
        for text in try WireDocument().blocks("json") {
            let buffer = ByteBuffer(string: text)
            var isKnown = false
            if case .success(let message) = MessageCodec.decodeClientMessage(buffer) {
                #expect(String(buffer: try MessageCodec.encode(message)) == text)
                #expect(text.contains("\"type\":\"\(message.kind.rawValue)\""))
                clientKinds.insert(message.kind)
                isKnown = true
            }
            if case .success(let message) = MessageCodec.decodeServerMessage(buffer) {
                #expect(String(buffer: try MessageCodec.encode(message)) == text)
                #expect(text.contains("\"type\":\"\(message.kind.rawValue)\""))
                serverKinds.insert(message.kind)
                isKnown = true
            }
            #expect(isKnown, "\(text)")
        }
        #expect(clientKinds == Set(ClientMessage.Kind.allCases))
        #expect(serverKinds == Set(ServerMessage.Kind.allCases))
    }

    @Test func everyFailureCodeIsListedWithItsOwner() throws {
        let rows = try WireDocument().table("code").filter { $0.count == 3 }
        let listed = rows.map { $0[0].trimming("`") }
        #expect(Set(listed) == Set(FailureCode.allCases.map(\.rawValue)))
        #expect(listed.count == FailureCode.allCases.count)
        for row in rows {
            let code = try #require(FailureCode(rawValue: row[0].trimming("`")))
            let owners = (code.isRelays ? ["relay"] : []) + (code.isClients ? ["client"] : [])
            #expect(row[1] == owners.joined(separator: ", "), "\(code.rawValue)")
        }
    }

    @Test func everyCloseCodeIsListed() throws {
        let listed = try WireDocument().numbers("close code")
        #expect(Set(listed) == Set(WebSocketCloseCode.allCases.map { Int($0.rawValue) }))
        #expect(listed.count == WebSocketCloseCode.allCases.count)
    }

    @Test func everyOfferedStateIsListed() throws {
        let listed = try WireDocument().table("state").map { $0[0].trimming("`") }
        #expect(listed == ServerMessage.Offered.State.allCases.map(\.rawValue))
    }

    @Test func signedBytesAreTheFourLines() throws {
        let document = try WireDocument()
        let lines = try #require(document.blocks("").first { $0.hasPrefix("relay.v1 login") })
        let challenge = document.blocks("json").lazy.compactMap {
            try? MessageCodec.decodeServerMessage(ByteBuffer(string: $0)).get()
        }.first { $0.kind == .challenge }
        let login = document.blocks("json").lazy.compactMap {
            try? MessageCodec.decodeClientMessage(ByteBuffer(string: $0)).get()
        }.first { $0.kind == .login }
        guard case .challenge(let challenge) = challenge, case .login(let login) = login else {
            Issue.record("the document has no challenge or no login")
            return
        }
        func signed(_ purpose: Credentials.Purpose) -> String {
            let bytes = Credentials.signedBytes(
                purpose: purpose, audience: "Relay.Example.COM:8443", name: login.credentials.name,
                nonce: challenge.nonce
            )
            return String(decoding: bytes, as: UTF8.self)
        }
        #expect(signed(.login) == lines)
        #expect(signed(.register) == lines.replacing("relay.v1 login", with: "relay.v1 register"))
    }
}

extension StringProtocol {
    fileprivate func trimming(_ character: Character) -> String {
        String(drop { $0 == character }.reversed().drop { $0 == character }.reversed())
    }
}
