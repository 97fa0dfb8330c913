// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// Messages as a client, or a relay, makes them: out of the fields of one that was read.
enum MessageCopies {
    static func copy(_ message: ClientMessage) -> ClientMessage {
        switch message {
        case .login(let m): .login(.init(id: m.id, credentials: copy(m.credentials), prekey: copy(m.prekey)))
        case .register(let m):
            .register(
                .init(id: m.id, credentials: m.credentials, invitation: m.invitation, prekey: copy(m.prekey)))
        case .presence(let m): .presence(.init(id: m.id, receiving: m.receiving, sharing: m.sharing))
        case .lookup(let m): .lookup(.init(id: m.id, name: m.name))
        case .offer(let m):
            .offer(
                .init(
                    id: m.id, transfer: m.transfer, to: m.to, wait: m.wait, payload: copy(m.payload),
                    request: m.request))
        case .accept(let m): .accept(.init(id: m.id, transfer: m.transfer, payload: m.payload))
        case .decline(let m): .decline(.init(id: m.id, transfer: m.transfer, code: m.code))
        case .progress(let m): .progress(.init(id: m.id, transfer: m.transfer, bytes: m.bytes))
        case .note(let m): .note(.init(id: m.id, transfer: m.transfer, payload: m.payload))
        case .delivered(let m): .delivered(.init(id: m.id, transfer: m.transfer, payload: m.payload))
        case .cancel(let m): .cancel(.init(id: m.id, transfer: m.transfer, code: m.code))
        case .request(let m): .request(.init(id: m.id, request: m.request, to: m.to, payload: m.payload))
        case .withdraw(let m): .withdraw(.init(id: m.id, request: m.request))
        case .refuse(let m): .refuse(.init(id: m.id, request: m.request, to: m.to, code: m.code))
        case .ping(let m): .ping(.init(id: m.id))
        }
    }

    static func copy(_ message: ServerMessage) -> ServerMessage {
        switch message {
        case .challenge(let m):
            .challenge(.init(id: m.id, nonce: m.nonce, agent: m.agent, registration: m.registration))
        case .welcome(let m): .welcome(.init(id: m.id, name: m.name, session: m.session, heartbeat: m.heartbeat))
        case .ok(let m): .ok(.init(id: m.id))
        case .peer(let m):
            .peer(.init(id: m.id, name: m.name, key: m.key, online: m.online, prekey: copy(m.prekey)))
        case .offered(let m): .offered(.init(id: m.id, transfer: m.transfer, state: m.state))
        case .ring(let m):
            .ring(
                .init(
                    id: m.id, transfer: m.transfer, from: m.from, key: m.key, payload: m.payload,
                    request: m.request))
        case .start(let m):
            .start(
                .init(
                    id: m.id, transfer: m.transfer, role: m.role, token: m.token, url: m.url, expires: m.expires,
                    payload: m.payload))
        case .progress(let m): .progress(.init(id: m.id, transfer: m.transfer, bytes: m.bytes))
        case .note(let m): .note(.init(id: m.id, transfer: m.transfer, payload: m.payload))
        case .delivered(let m): .delivered(.init(id: m.id, transfer: m.transfer, payload: m.payload))
        case .failed(let m): .failed(.init(id: m.id, transfer: m.transfer, code: m.code, by: m.by))
        case .requested(let m):
            .requested(.init(id: m.id, request: m.request, from: m.from, key: m.key, payload: m.payload))
        case .refused(let m): .refused(.init(id: m.id, request: m.request, code: m.code))
        case .move(let m): .move(.init(id: m.id, deadline: m.deadline))
        case .pong(let m): .pong(.init(id: m.id))
        case .error(let m): .error(.init(id: m.id, code: m.code, message: m.message))
        }
    }

    private static func copy(_ credentials: Credentials) -> Credentials {
        Credentials(
            name: credentials.name, key: credentials.key, signature: credentials.signature,
            agent: Label(clipping: credentials.agent.rawValue))
    }

    private static func copy(_ prekey: PublishedPrekey?) -> PublishedPrekey? {
        prekey.map { PublishedPrekey(epoch: $0.epoch, key: $0.key, signature: $0.signature) }
    }

    private static func copy(_ payload: Payload) -> Payload { Payload(bytes: payload.bytes) ?? payload }
}
