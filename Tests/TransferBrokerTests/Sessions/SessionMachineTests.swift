// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferBroker

private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
private let nonce = Nonce.random()
private let credentials = Credentials(
    name: PeerName(rawValue: "alice")!, key: .random(), signature: .random(),
    agent: Label(clipping: "test")
)

private func id(_ text: String) throws -> RequestID { try #require(RequestID(rawValue: text)) }

private enum Stage: CaseIterable {
    case challenged, checking, open, closed

    func machine() throws -> SessionMachine {
        var machine = SessionMachine(nonce: nonce, loginTimeout: .seconds(10), now: start)
        if self == .challenged { return machine }
        let login = ClientMessage.login(.init(id: try id("l"), credentials: credentials))
        #expect(machine.messageReceived(.success(login)) == .check(try attempt(id("l"))))
        switch self {
        case .open: #expect(machine.loginChecked(.accepted) == .admit(credentials, try id("l")))
        case .closed: machine.connectionClosed()
        case .challenged, .checking: break
        }
        return machine
    }
}

private func attempt(
    _ request: RequestID, _ purpose: Credentials.Purpose = .login, _ invitation: InvitationCode? = nil
) throws -> LoginAttempt {
    LoginAttempt(id: request, purpose: purpose, credentials: credentials, nonce: nonce, invitation: invitation)
}

private enum Event: CaseIterable {
    case login, register, ping, request, progress, malformed, accepted, refused, deadline, tooEarly, connectionClosed

    func happen(to machine: inout SessionMachine) throws -> SessionAction {
        func received(_ message: ClientMessage) -> SessionAction {
            machine.messageReceived(.success(message))
        }
        switch self {
        case .login: return received(.login(.init(id: try id("x"), credentials: credentials)))
        case .register:
            return received(.register(.init(id: try id("x"), credentials: credentials, invitation: invitation)))
        case .ping: return received(.ping(.init(id: try id("x"))))
        case .request: return received(try request)
        case .progress: return received(try progress)
        case .malformed:
            return machine.messageReceived(.failure(.init(code: .unknownType, id: try id("x"))))
        case .accepted: return machine.loginChecked(.accepted)
        case .refused: return machine.loginChecked(.refused(.nameTaken))
        case .deadline: return machine.timerFired(now: start + .seconds(10))
        case .tooEarly: return machine.timerFired(now: start + .milliseconds(9999))
        case .connectionClosed:
            machine.connectionClosed()
            return .ignore
        }
    }

    var invitation: InvitationCode? { InvitationCode(rawValue: "secret") }
    var request: ClientMessage { get throws { .presence(.init(id: try id("x"), receiving: true)) } }
    var progress: ClientMessage { get throws { .progress(.init(id: try id("x"), transfer: transfer, bytes: 1)) } }

    /// For each state in the order of `Stage`.
    var row: [SessionAction] {
        get throws {
            let x = try id("x")
            let no = SessionAction.reply(.refusal(x, .notNow))
            let expired = SessionAction.close(.loginFailed, after: nil)
            switch self {
            case .login: return [.check(try attempt(x)), no, no, .ignore]
            case .register: return [.check(try attempt(x, .register, invitation)), no, no, .ignore]
            case .ping: return [no, no, .reply(.pong(.init(id: x))), .ignore]
            case .request: return [no, no, .pass(try request), .ignore]
            case .progress: return [no, no, .pass(try progress), .ignore]
            case .malformed:
                let refusal = SessionAction.reply(.refusal(x, .unknownType))
                return [refusal, refusal, refusal, .ignore]
            case .accepted: return [.ignore, .admit(credentials, try id("l")), .ignore, .ignore]
            case .refused:
                return [.ignore, .close(.loginFailed, after: .refusal(try id("l"), .nameTaken)), .ignore, .ignore]
            case .deadline: return [expired, expired, .ignore, .ignore]
            case .tooEarly, .connectionClosed: return [.ignore, .ignore, .ignore, .ignore]
            }
        }
    }

    /// The state after the event, for each state in the order of `Stage`.
    var next: [Stage] {
        switch self {
        case .login, .register: [.checking, .checking, .open, .closed]
        case .ping, .request, .progress, .malformed, .tooEarly: Stage.allCases
        case .accepted: [.challenged, .open, .open, .closed]
        case .refused: [.challenged, .closed, .open, .closed]
        case .deadline: [.closed, .closed, .open, .closed]
        case .connectionClosed: [.closed, .closed, .closed, .closed]
        }
    }
}

private let transfer = TransferID.random()

private func stage(_ state: SessionMachine.State) -> Stage {
    switch state {
    case .challenged: .challenged
    case .checking: .checking
    case .open: .open
    case .closed: .closed
    }
}

@Suite struct SessionMachineTests {
    @Test(arguments: Event.allCases)
    private func everyCellOfTheTable(_ event: Event) throws {
        let row = try event.row
        for (index, before) in Stage.allCases.enumerated() {
            var machine = try before.machine()
            #expect(try event.happen(to: &machine) == row[index], "\(event) in \(before)")
            #expect(stage(machine.state) == event.next[index], "\(event) in \(before)")
        }
    }

    @Test(arguments: [Stage.challenged, .checking])
    private func onlyAFewMessagesAreReadBeforeALogin(_ stage: Stage) throws {
        var machine = try stage.machine()
        let presence = ClientMessage.presence(.init(id: try id("x"), receiving: true))
        let refusal = ServerMessage.refusal(try id("x"), .notNow)
        // The login was the first one.
        for _ in 0..<(stage == .checking ? 9 : 10) {
            #expect(machine.messageReceived(.success(presence)) == .reply(refusal))
        }
        #expect(machine.messageReceived(.success(presence)) == .close(.policyViolation, after: nil))
        #expect(machine.messageReceived(.success(presence)) == .ignore)
        #expect(machine.loginChecked(.accepted) == .ignore)
    }

    @Test func malformedMessagesCountToo() throws {
        var machine = try Stage.challenged.machine()
        let actions = (0..<11).map { _ in machine.messageReceived(.failure(.init(code: .badMessage, id: .unknown))) }
        #expect(actions.prefix(10).allSatisfy { $0 == .reply(.refusal(.unknown, .badMessage)) })
        #expect(actions.last == .close(.policyViolation, after: nil))
    }

    @Test func anOpenSessionHasNoLimitOfMessagesHere() throws {
        var machine = try Stage.open.machine()
        let presence = ClientMessage.presence(.init(id: try id("x"), receiving: true))
        for _ in 0..<10_000 { #expect(machine.messageReceived(.success(presence)) == .pass(presence)) }
    }

    @Test func idsOfNodesFitIntoALabel() throws {
        #expect(NodeID(rawValue: "") == nil)
        #expect(NodeID(rawValue: String(repeating: "n", count: 33)) == nil)
        #expect(NodeID(rawValue: "a b") == nil)
        let node = try #require(NodeID(rawValue: String(repeating: "n", count: 32)))
        let session = SessionID(node: node, number: .max)
        #expect(session.label.rawValue == session.description)
        #expect(Label(clipping: "é\u{1b}x").rawValue == "???x")
    }
}
