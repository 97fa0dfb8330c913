// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WSProtocol

/// Random messages of every kind, the same in every run.
struct RandomMessages {
    var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private mutating func pick<Value>(_ values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &generator)]
    }

    private mutating func text(_ alphabet: String, _ lengths: ClosedRange<Int>) -> String {
        let characters = Array(alphabet)
        return String((0..<Int.random(in: lengths, using: &generator)).map { _ in pick(characters) })
    }

    private mutating func id() -> RequestID {
        RequestID(rawValue: text("abcXYZ019-_", 1...64)) ?? .unknown
    }

    private mutating func name() throws -> PeerName {
        try valid(PeerName(rawValue: pick(["a", "z", "0", "9"]) + text("abz09._-", 0...62)))
    }

    private mutating func payload() throws -> Payload {
        let length = pick([0, 1, 2, 3, 100, 32_768])
        return try valid(Payload(bytes: generator.bytes(length)))
    }

    private mutating func label() throws -> Label { try valid(Label(rawValue: text("az09 /.\"\\~<>&", 0...64))) }

    private mutating func bytes<Kind>() -> FixedBytes<Kind> { .random(using: &generator) }

    private mutating func credentials() throws -> Credentials {
        Credentials(
            name: try name(), key: bytes(), signature: bytes(), agent: try label()
        )
    }

    private mutating func prekey() -> PublishedPrekey? {
        pick([
            nil, PublishedPrekey(epoch: pick([0, 24_322, .max]), key: bytes(), signature: bytes()),
        ])
    }

    private mutating func number() -> UInt64 { pick([0, 1, 1 << 53, 1 << 53 + 1, .max, generator.next()]) }

    private func valid<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw InvalidSample() }
        return value
    }

    mutating func clientMessage(_ kind: ClientMessage.Kind) throws -> ClientMessage {
        switch kind {
        case .login: .login(.init(id: id(), credentials: try credentials(), prekey: prekey()))
        case .register:
            .register(
                .init(
                    id: id(), credentials: try credentials(),
                    invitation: pick([nil, InvitationCode(rawValue: text("abc-_09", 1...64))]), prekey: prekey()
                ))
        case .presence: .presence(.init(id: id(), receiving: pick([true, false]), sharing: pick([true, false])))
        case .lookup: .lookup(.init(id: id(), name: try name()))
        case .offer:
            .offer(
                .init(
                    id: id(), transfer: bytes(), to: try name(), wait: pick([true, false]), payload: try payload(),
                    request: pick([nil, bytes()])))
        case .accept: .accept(.init(id: id(), transfer: bytes(), payload: try payload()))
        case .decline: .decline(.init(id: id(), transfer: bytes(), code: pick(FailureCode.allCases)))
        case .progress: .progress(.init(id: id(), transfer: bytes(), bytes: number()))
        case .note: .note(.init(id: id(), transfer: bytes(), payload: try payload()))
        case .delivered: .delivered(.init(id: id(), transfer: bytes(), payload: try payload()))
        case .cancel: .cancel(.init(id: id(), transfer: bytes(), code: pick(FailureCode.allCases)))
        case .request: .request(.init(id: id(), request: bytes(), to: try name(), payload: try payload()))
        case .withdraw: .withdraw(.init(id: id(), request: bytes()))
        case .refuse:
            .refuse(.init(id: id(), request: bytes(), to: try name(), code: pick(FailureCode.allCases)))
        case .ping: .ping(.init(id: id()))
        }
    }

    mutating func serverMessage(_ kind: ServerMessage.Kind) throws -> ServerMessage {
        switch kind {
        case .challenge:
            .challenge(
                .init(
                    id: id(), nonce: bytes(), agent: try label(),
                    registration: pick(ServerMessage.Registration.allCases)
                ))
        case .welcome: .welcome(.init(id: id(), name: try name(), session: try label(), heartbeat: pick([0, 20, -1])))
        case .ok: .ok(.init(id: id()))
        case .peer:
            .peer(
                .init(
                    id: id(), name: try name(), key: bytes(), online: pick([true, false]),
                    prekey: prekey()))
        case .offered:
            .offered(.init(id: id(), transfer: bytes(), state: pick(ServerMessage.Offered.State.allCases)))
        case .ring:
            .ring(
                .init(
                    id: id(), transfer: bytes(), from: try name(), key: bytes(),
                    payload: try payload(), request: pick([nil, bytes()])
                ))
        case .start:
            .start(
                .init(
                    id: id(), transfer: bytes(), role: pick(TransferRole.allCases), token: bytes(),
                    url: text("/ué€😀\u{0}\n\"\\", 0...20), expires: pick([0, 60]), payload: pick([nil, try payload()])
                ))
        case .progress: .progress(.init(id: id(), transfer: bytes(), bytes: number()))
        case .note: .note(.init(id: id(), transfer: bytes(), payload: try payload()))
        case .delivered: .delivered(.init(id: id(), transfer: bytes(), payload: try payload()))
        case .failed:
            .failed(
                .init(
                    id: id(), transfer: bytes(), code: pick(FailureCode.allCases),
                    by: pick(ServerMessage.Failed.Party.allCases)
                ))
        case .requested:
            .requested(
                .init(
                    id: id(), request: bytes(), from: try name(), key: bytes(),
                    payload: try payload()
                ))
        case .refused: .refused(.init(id: id(), request: bytes(), code: pick(FailureCode.allCases)))
        case .move: .move(.init(id: id(), deadline: pick([0, 1, 20])))
        case .pong: .pong(.init(id: id()))
        case .error:
            .error(.init(id: id(), code: pick(FailureCode.allCases), message: text("aé€😀\u{1B}\u{7F}\u{0}\"", 0...40)))
        }
    }
}

/// A generated text was not of its field's form.
private struct InvalidSample: Error {}
