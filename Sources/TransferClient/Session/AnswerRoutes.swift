// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

/// Which transfer a message of the relay is about: most say it themselves, an answer only names the request. Pure.
package struct AnswerRoutes: Hashable, Sendable {
    private var transfers: [RequestID: TransferID] = [:]
    private var requests: [TransferID: [RequestID]] = [:]

    package init() {}

    /// The answer to the request `id` is about `transfer`.
    package mutating func expect(_ id: RequestID, about transfer: TransferID) {
        transfers[id] = transfer
        requests[transfer, default: []].append(id)
    }

    /// `transfer` is over: what is still said about it under these ids is not heard.
    package mutating func forget(_ transfer: TransferID) {
        for id in requests.removeValue(forKey: transfer) ?? [] { transfers[id] = nil }
    }

    /// The transfer that `message` is about; nil when it is about none, or about one that is over.
    package func transfer(of message: ServerMessage) -> TransferID? {
        switch message {
        case .ok(let answer): transfers[answer.id]
        case .error(let refusal): transfers[refusal.id]
        case .challenge, .welcome, .peer, .offered, .ring, .start, .progress, .note, .delivered, .failed, .requested,
            .refused, .move, .pong:
            message.transfer
        }
    }
}

/// What the relay says about the receivers, on one connection: each is asked about once, and again when its key has
/// changed. Pure.
package struct PeerLookups: Sendable {
    /// How far the question about one name is.
    fileprivate enum State: Hashable {
        case asked(RequestID, deadline: NIODeadline)
        case known(ServerMessage.Peer)
    }

    private var states: [PeerName: State] = [:]

    package init() {}

    /// What is known about `name`; nil when it has to be asked, or is being asked.
    package func peer(_ name: PeerName) -> ServerMessage.Peer? {
        if case .known(let peer)? = states[name] { peer } else { nil }
    }

    /// Whether nothing has been asked about `name`.
    package func isUnasked(_ name: PeerName) -> Bool { states[name] == nil }

    /// The question about `name` goes out as `id`.
    package mutating func asked(_ name: PeerName, as id: RequestID, now: NIODeadline) {
        states[name] = .asked(id, deadline: now + TransferDefaults.answerTimeout)
    }

    /// The relay answers. Returns whether the question was one of these.
    package mutating func answered(_ peer: ServerMessage.Peer) -> Bool {
        guard name(of: peer.id) == peer.name else { return false }
        states[peer.name] = .known(peer)
        return true
    }

    /// The relay refuses to answer. Returns whom it is about, if the question was one of these.
    package mutating func refused(_ id: RequestID) -> PeerName? {
        guard let name = name(of: id) else { return nil }
        states[name] = nil
        return name
    }

    /// What was known about `name` does not hold any more.
    package mutating func forget(_ name: PeerName) { states[name] = nil }

    /// When the first answer is due.
    package var deadline: NIODeadline? { states.values.lazy.compactMap(\.deadline).min() }

    /// The names about which the relay has not answered in time. They may be asked about again.
    package mutating func deadlinePassed(now: NIODeadline) -> [PeerName] {
        let late = states.filter { $0.value.deadline.map { $0 <= now } ?? false }.keys.sorted { "\($0)" < "\($1)" }
        for name in late { states[name] = nil }
        return late
    }

    private func name(of id: RequestID) -> PeerName? {
        states.first { if case .asked(id, _) = $0.value { true } else { false } }?.key
    }
}

extension PeerLookups.State {
    fileprivate var deadline: NIODeadline? { if case .asked(_, let deadline) = self { deadline } else { nil } }
}
