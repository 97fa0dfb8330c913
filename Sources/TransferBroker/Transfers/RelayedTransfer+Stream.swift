// SPDX-License-Identifier: Apache-2.0

package import NIOCore
package import WSProtocol

// What the byte path and the clock do to a transfer.
extension RelayedTransfer {
    /// The receiver's request is held, waiting for the sender's.
    package mutating func downloadParked(now: NIODeadline) -> [TransferAction] {
        switch state {
        case .accepted(let receiver, let payload, deadline: _):
            state = .parked(receiver: receiver, deadline: now + timers.attach)
            return [.startUpload(payload)]
        case .waiting, .ringing, .parked, .streaming, .confirmed, .streamed, .broken, .ended: return []
        }
    }

    /// Both halves are joined.
    package mutating func streamJoined() -> [TransferAction] {
        switch state {
        case .parked(let receiver, deadline: _):
            state = .streaming(receiver: receiver)
            return []
        case .waiting, .ringing, .accepted, .streaming, .confirmed, .streamed, .broken, .ended: return []
        }
    }

    /// Every byte was handed to the receiver's connection.
    package mutating func streamFinished(now: NIODeadline) -> [TransferAction] {
        switch state {
        case .parked(let receiver, deadline: _), .streaming(let receiver):
            state = .streamed(receiver: receiver, deadline: now + timers.delivery)
            return []
        case .confirmed(receiver: _, let payload, deadline: _): return end(.delivered, [.tellDelivered(payload)])
        case .waiting, .ringing, .accepted, .streamed, .broken, .ended: return []
        }
    }

    /// The stream, or the half of it that was there, ended early.
    ///
    /// An end that goes on purpose says so on its control connection, with a better reason than that it is gone; that
    /// message may be a moment behind.
    package mutating func streamCut(_ code: FailureCode, now: NIODeadline) -> [TransferAction] {
        switch state {
        case .parked(let receiver, deadline: _) where code == .senderGone || code == .receiverGone,
            .streaming(let receiver) where code == .senderGone || code == .receiverGone:
            state = .broken(receiver: receiver, code, deadline: now + timers.explanation)
            return []
        case .accepted, .parked, .streaming: return fail(code)
        // What the sender's node has found, behind what that looked like from the receiver's.
        case .broken where code == .malformedBody: return fail(code)
        // The receiver has everything: what broke was only the way it was being told to stop.
        case .confirmed(receiver: _, let payload, deadline: _):
            return end(.delivered, [.tellDelivered(payload), .endStream(.delivered)])
        // A half that is gone with its node was cut by that, and not by its client.
        case .broken where code != .senderGone && code != .receiverGone && code != .stalled: return fail(code)
        case .waiting, .ringing, .streamed, .broken, .ended: return []
        }
    }

    /// ``deadline`` may have passed.
    package mutating func deadlinePassed(now: NIODeadline) -> [TransferAction] {
        guard let deadline, now >= deadline else { return [] }
        switch state {
        case .ringing, .accepted, .parked, .streamed: return fail(.expired)
        case .confirmed(receiver: _, let payload, deadline: _):
            return end(.delivered, [.tellDelivered(payload), .endStream(.delivered)])
        case .broken(receiver: _, let code, deadline: _): return fail(code)
        case .waiting, .streaming, .ended: return []
        }
    }
}
