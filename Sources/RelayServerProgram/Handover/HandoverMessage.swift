// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import ServerSystem
import WSProtocol

/// What two processes of one relay say to each other while the second one takes the place of the first.
///
/// Each line is JSON. Descriptors come with ``sockets(_:)``: the lock of the state directory first, then one for each
/// socket.
enum HandoverMessage: Hashable, Sendable, Codable {
    /// A listening socket, and the address it was configured with.
    struct Socket: Hashable, Sendable, Codable {
        var purpose: InheritedSockets.Purpose
        var address: String?
    }

    // From the new process:
    /// It wants to take the place.
    case take(version: String)
    /// Its configuration and certificates are good: only what must not be done twice is left to do. `takesNames` says
    /// that it knows what ``names(_:)`` is, which older versions do not.
    case ready(takesNames: Bool? = nil)
    /// It accepts connections.
    case serving
    /// It ends; the old process goes on.
    case failed(String)

    // From the old process:
    case sockets([Socket])
    /// Some of the names that are there to be rung, and are told to come over: before ``yours``, as often as it takes.
    case names([PeerName])
    /// It has stopped accepting, and writes nothing any more.
    case yours
    /// It leaves.
    case leaving
    /// It cannot be replaced now.
    case refused(String)

    /// The socket's name in the state directory.
    static let socketName = "restart.sock"
}

extension ProcessChannel {
    /// Sends `message`.
    func tell(_ message: HandoverMessage, descriptors: [CInt] = []) throws(OperatorError) {
        do {
            try send(StrictJSON.encode(message), descriptors: descriptors)
        } catch {
            throw OperatorError(.unavailable, "the other process is gone: \(error)")
        }
    }

    /// What the other process says within `time`; nil for anything else. Descriptors that come with it, which none but
    /// ``HandoverMessage/sockets(_:)`` has, are closed.
    func hear(within time: TimeAmount) -> HandoverMessage? {
        guard let message = receive(within: time) else { return nil }
        for descriptor in message.descriptors { close(descriptor) }
        return message.handover
    }
}

extension ProcessChannel.Message {
    /// What it says; nil for anything else.
    var handover: HandoverMessage? { StrictJSON.decode(HandoverMessage.self, from: line.utf8) }
}
