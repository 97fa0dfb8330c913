// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import ServerSystem
import TransferBroker
import WSProtocol

/// This process takes the place of one that serves: its listening sockets first, then what must not be done by two at a
/// time, and in the end the work. Until then the other goes on when this one dies, at any moment.
final class Takeover: Sendable {
    /// The process whose place this one takes.
    let predecessor: Int32
    let inherited: InheritedSockets
    /// The lock of the state directory: a copy of the descriptor that holds it.
    let lock: CInt
    private let channel: ProcessChannel

    /// Asks the process that serves with `stateDirectory` for its sockets. It still accepts connections.
    /// - Throws: ``OperatorError`` when there is none, or it refuses.
    convenience init(stateDirectory: String) throws(OperatorError) {
        let path = StateDirectory.path(of: HandoverMessage.socketName, in: stateDirectory)
        let channel: ProcessChannel
        do {
            channel = try ProcessChannel(path: path)
        } catch {
            throw OperatorError(
                .unavailable,
                "no relay-server that could hand over runs with the state directory \(stateDirectory) (\(error)): "
                    + "start this one without --takeover"
            )
        }
        try self.init(asking: channel, at: path)
    }

    /// Asks the process at the other end of `channel`, which was reached at `path`, for its sockets.
    init(asking channel: ProcessChannel, at path: String) throws(OperatorError) {
        guard let peer = channel.peer, peer.isOwn else {
            throw OperatorError(.refused, "\(path) is another user's: it is not taken for a relay")
        }
        self.channel = channel
        predecessor = peer.process
        try channel.tell(.take(version: ProgramVersion.current))
        let reply = channel.receive(within: Defaults.Handover.exchangeTimeout)
        let descriptors = reply?.descriptors ?? []
        guard case .sockets(let sockets)? = reply?.handover, descriptors.count == sockets.count + 1 else {
            for descriptor in descriptors { close(descriptor) }
            throw Self.failure(reply?.handover, "did not hand its sockets over", predecessor)
        }
        lock = descriptors[0]
        inherited = InheritedSockets(
            zip(sockets, descriptors.dropFirst()).map {
                InheritedSockets.Socket(purpose: $0.purpose, address: $0.address, descriptor: $1)
            })
    }

    /// Waits until the other process has stopped accepting and writes nothing any more.
    /// - Returns: the names that are there to be rung, and come over.
    /// - Throws: ``OperatorError`` when it goes on instead.
    func claim() throws(OperatorError) -> [PeerName] {
        try channel.tell(.ready(takesNames: true))
        var names: [PeerName] = []
        while true {
            let reply = channel.hear(within: Defaults.Handover.claimTimeout)
            switch reply {
            case .names(let more)?: names += more
            case .yours?: return names
            default: throw Self.failure(reply, "did not stop accepting", predecessor)
            }
        }
    }

    /// This process serves: the other one leaves.
    /// - Throws: ``OperatorError`` when it goes on instead.
    func complete() throws(OperatorError) {
        try channel.tell(.serving)
        let reply = channel.hear(within: Defaults.Handover.exchangeTimeout)
        guard case .leaving? = reply else { throw Self.failure(reply, "did not leave", predecessor) }
    }

    /// This process cannot serve, and ends.
    func failed(_ error: any Error) { try? channel.tell(.failed("\(error)")) }

    private static func failure(_ reply: HandoverMessage?, _ what: String, _ process: Int32) -> OperatorError {
        if case .refused(let reason)? = reply {
            return OperatorError(.refused, "the relay-server that serves (process \(process)) goes on: \(reason)")
        }
        return OperatorError(.unavailable, "the relay-server that serves (process \(process)) \(what)")
    }
}
