// SPDX-License-Identifier: Apache-2.0

import Testing
import WSProtocol

@testable import TransferClient

@Suite struct AnswerRoutesTests {
    private let first = TransferID.random()
    private let second = TransferID.random()
    private let ids = (1...4).map { RequestID.sequence(.client, $0) }

    private func refusal(_ id: RequestID) -> ServerMessage { .error(.init(id: id, code: .notNow, message: "")) }

    @Test func anAnswerIsAboutTheTransferOfItsRequest() {
        var routes = AnswerRoutes()
        routes.expect(ids[0], about: first)
        routes.expect(ids[1], about: second)
        routes.expect(ids[2], about: first)
        #expect(routes.transfer(of: .ok(.init(id: ids[0]))) == first)
        #expect(routes.transfer(of: refusal(ids[1])) == second)
        #expect(routes.transfer(of: refusal(ids[2])) == first)
        #expect(routes.transfer(of: .ok(.init(id: ids[3]))) == nil)
    }

    @Test func answersToAForgottenTransferAreIgnored() {
        var routes = AnswerRoutes()
        routes.expect(ids[0], about: first)
        routes.expect(ids[1], about: second)
        routes.expect(ids[2], about: first)
        routes.forget(first)
        routes.forget(first)
        #expect(routes.transfer(of: .ok(.init(id: ids[0]))) == nil && routes.transfer(of: refusal(ids[2])) == nil)
        #expect(routes.transfer(of: .ok(.init(id: ids[1]))) == second)
        routes.forget(second)
        #expect(routes == AnswerRoutes())
    }

    @Test func mostMessagesNameTheirTransfer() throws {
        let (routes, id) = (AnswerRoutes(), ids[0])
        let alice = try #require(PeerName(rawValue: "alice"))
        let payload = try #require(Payload(bytes: []))
        let about: [ServerMessage] = [
            .ring(
                .init(id: id, transfer: first, from: alice, key: .random(), payload: payload)),
            .offered(.init(id: id, transfer: first, state: .waiting)),
            .start(.init(id: id, transfer: first, role: .upload, token: .random(), url: "/", expires: 1)),
            .progress(.init(id: id, transfer: first, bytes: 1)),
            .delivered(.init(id: id, transfer: first, payload: payload)),
            .failed(.init(id: id, transfer: first, code: .stalled, by: .relay)),
        ]
        for message in about { #expect(routes.transfer(of: message) == first) }
        let none: [ServerMessage] = [
            .pong(.init(id: id)), .ok(.init(id: id)),
            .peer(.init(id: id, name: alice, key: .random(), online: true)),
        ]
        for message in none { #expect(routes.transfer(of: message) == nil) }
    }
}
