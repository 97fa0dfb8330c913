// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// Why one transfer was not delivered, in words.
package struct TransferFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The code of the protocol's table.
    package let code: FailureCode
    /// What happened and what to do next, to stand behind the name of the file.
    package let description: String
    /// What happened alone.
    package let what: String
    package let status: ExitStatus

    /// Which end of a transfer this program is.
    package enum Side: Hashable, Sendable, CaseIterable {
        case sender
        case receiver
    }

    /// - Parameters:
    ///   - code: what the relay or the peer said, or what this side found out.
    ///   - side: which end this is.
    ///   - peer: who is at the other end.
    ///   - said: the relay's own message, if it gave one: of a limit it alone knows whose it is, and how much it is.
    package init(_ code: FailureCode, side: Side, peer: PeerName, said: String? = nil) {
        if code == .tooManyTransfers, let said {
            self.init(code: code, "the relay says: \(said)", "try again later")
        } else {
            let (what, advice) = Self.message(for: code, side: side, peer: peer)
            self.init(code: code, what, advice)
        }
    }

    package init(code: FailureCode, _ what: String, _ advice: String, status: ExitStatus? = nil) {
        self.code = code
        self.what = what
        description = "\(what); \(advice)"
        self.status = status ?? ExitStatus(code)
    }

    /// What the other client sends breaks the format: which rule, and what breaks it.
    package static func breach(by peer: PeerName, _ error: SealingError) -> TransferFailure {
        let (what, advice) = message(for: .protocolError, side: .receiver, peer: peer)
        return TransferFailure(code: .protocolError, "\(what): \(error)", advice)
    }

    /// The relay had all of the other side that it needed, and waited for this side's stream in vain.
    package static func ownLateness(_ side: Side, peer: PeerName) -> TransferFailure {
        TransferFailure(
            code: .expired, "our own connection did not reach the relay in time",
            "check the network; then \(again(side, peer))")
    }

    private static func message(for code: FailureCode, side: Side, peer: PeerName) -> (String, String) {
        switch code {
        case .unknownPeer: ("no user of this relay is called \(peer)", "check the name")
        case .peerOffline: ("\(peer) is not receiving", "try again later, or leave out --no-wait")
        case .declined: side == .sender ? ("\(peer) declined it", "ask \(peer)") : ("it was declined", "nothing to do")
        case .cancelled:
            ("\(peer) interrupted it", side == .sender ? "ask \(peer), and send it again" : again(side, peer))
        case .timedOut:
            side == .sender
                ? ("the time of --timeout is over", "send it again, or with a longer --timeout")
                : ("\(peer) gave up waiting", "ask \(peer) to send it again")
        case .noSpace: side == .sender ? ("\(peer) has no room for it", "ask \(peer) to make room") : room
        case .cannotWrite:
            side == .sender
                ? ("\(peer) cannot store it", "ask \(peer) to look at the receiving folder")
                : ("it cannot be stored", "look at the receiving folder")
        case .cannotRead:
            side == .sender ? ("it cannot be read", "look at the file") : ("\(peer) cannot read it", "ask \(peer)")
        case .sourceChanged:
            side == .sender
                ? ("it changed while it was being sent", "send it again once nothing writes to it")
                : ("it changed while \(peer) was sending it", "ask \(peer) to send it again")
        case .verificationFailed: ("what arrived is not what was sent", again(side, peer))
        case .tooLarge:
            side == .sender
                ? ("it is larger than \(peer) takes", "ask \(peer) to raise --max-size")
                : ("it is larger than --max-size, or the policy for \(peer), allows", "raise that to take it")
        case .protocolError: ("\(peer)'s client broke the protocol", "check that both are of the same version")
        case .identityChanged:
            side == .sender
                ? ("\(peer) knows another identity for this name", "ask \(peer) to look at `relay-client peers`")
                : ("\(peer) knows another identity for the name of this profile", "ask \(peer) to look at their peers")
        case .badPrekey:
            side == .sender
                ? ("\(peer) does not have the key that it is sealed to", "check the clocks of both computers")
                : ("it is sealed to a key that this profile does not have", "check the clocks of both computers")
        case .staleOffer:
            ("the clocks of both sides differ by more than a day", "set the clocks, then \(again(side, peer))")
        case .receiverGone, .senderGone:
            (code == .receiverGone) == (side == .sender)
                ? ("the connection of \(peer) was cut", again(side, peer))
                : ("our own connection was cut", "check the network; then \(again(side, peer))")
        case .malformedBody:
            side == .sender
                ? ("it did not reach the relay as it was sent", "look for what stands between, such as a proxy")
                : ("it did not reach the relay as \(peer) had sent it", again(side, peer))
        case .stalled: ("no bytes moved for too long", again(side, peer))
        case .expired:
            side == .sender
                ? ("\(peer) did not answer in time", "try again when \(peer) is there")
                : ("\(peer) did not send in time", "ask \(peer) to send it again")
        case .unknownTransfer: ("the relay does not know the transfer any more", again(side, peer))
        case .badMessage, .unknownType, .notNow, .transferExists, .requestExists, .loginRefused, .nameTaken,
            .badInvitation, .registrationClosed, .accountDisabled, .dayLimit, .endedByOperator, .tooManySessions,
            .rateLimited, .tooManyTransfers, .draining, .unavailable, .clusterUnavailable, .internalError,
            .acceptedElsewhere, .unknownRequest, .notShared, .tooManyRequests:
            furtherMessage(for: code, side: side, peer: peer)
        }
    }

    private static func again(_ side: Side, _ peer: PeerName) -> String {
        side == .sender ? "send it again" : "ask \(peer) to send it again"
    }

    private static let room = ("there is no room for it", "make room, or name another folder with --output")

    /// The rest of the table: what is about requests, whose sender is the one who shares, and what the relay says of
    /// its own accord.
    private static func furtherMessage(for code: FailureCode, side: Side, peer: PeerName) -> (String, String) {
        switch code {
        case .notShared:
            side == .sender
                ? ("\(peer) asked for what is not shared with them", "nothing to do")
                : ("\(peer) shares nothing of that name with you", "see what there is with `relay-client list \(peer)`")
        case .unknownRequest:
            side == .sender
                ? ("\(peer) does not wait for it any more", "nothing to do")
                : ("the relay does not know the request any more", "ask again")
        case .acceptedElsewhere: ("another session of this name took it", "nothing to do")
        case .rateLimited: ("the relay wants fewer messages", "try again in some seconds")
        case .accountDisabled: ("the relay's operator has disabled this user", "ask the relay's operator")
        case .dayLimit:
            (
                "as many bytes as the relay allows in a day have been moved",
                "try again after 00:00 UTC, or ask the relay's operator"
            )
        case .endedByOperator: ("the relay's operator ended it", "ask the relay's operator")
        case .tooManyRequests: ("there are as many requests as there may be", "try again in some seconds")
        case .tooManyTransfers: ("the relay allows no more transfers at once", "wait until others have ended")
        case .draining: ("the relay is about to stop", "try again in a moment")
        case .clusterUnavailable, .unavailable: ("the relay cannot do it now", "try again in a moment")
        // A transfer hardly ends with any of the others.
        default: ("the relay refused it (\(code.rawValue))", "check that both are of the same version")
        }
    }
}
