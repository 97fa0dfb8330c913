// SPDX-License-Identifier: Apache-2.0

package import WSProtocol

/// What the process ends with: the numbers of sysexits, and 130 for a person's interrupt. Scripts rely on them.
package enum ExitStatus: Int32, Hashable, Sendable, CaseIterable {
    /// Everything that was asked for is done.
    case done = 0
    /// The command line makes no sense.
    case usage = 64
    /// What arrived is not what was sent.
    case corrupt = 65
    /// The input cannot be read.
    case noInput = 66
    /// The relay, or the peer, cannot be reached or is gone.
    case unreachable = 69
    /// The output cannot be created.
    case cannotCreate = 73
    /// Reading or writing failed half-way, or there is no room.
    case inputOutput = 74
    /// Gave up trying again; the same command may work later.
    case gaveUp = 75
    /// The other side does not speak the protocol.
    case protocolBreach = 76
    /// The relay or the peer said no.
    case refused = 77
    /// The profile, a variable or a certificate is not right.
    case configuration = 78
    /// Ctrl-C, or SIGTERM.
    case interrupted = 130

    /// The status of a command that ended because of `code`.
    package init(_ code: FailureCode) {
        self =
            switch code {
            case .badMessage, .unknownType, .notNow, .transferExists, .requestExists, .malformedBody,
                .protocolError:
                .protocolBreach
            case .rateLimited, .tooManyTransfers, .tooManyRequests, .draining, .expired, .timedOut: .gaveUp
            case .loginRefused, .nameTaken, .badInvitation, .registrationClosed, .tooManySessions, .accountDisabled,
                .dayLimit, .endedByOperator, .declined, .cancelled, .tooLarge, .identityChanged, .badPrekey,
                .staleOffer:
                .refused
            case .unknownPeer, .peerOffline, .unknownTransfer, .unknownRequest, .unavailable, .clusterUnavailable,
                .internalError, .acceptedElsewhere, .senderGone, .receiverGone, .stalled:
                .unreachable
            case .cannotWrite: .cannotCreate
            case .noSpace, .sourceChanged: .inputOutput
            case .cannotRead, .notShared: .noInput
            case .verificationFailed: .corrupt
            }
    }
}

extension ExitStatus {
    /// What programs that watch find in the `code` of an error that is not about one transfer.
    package var code: String {
        switch self {
        case .done: "done"
        case .usage: "usage"
        case .corrupt: "corrupt"
        case .noInput: "no_input"
        case .unreachable: "unreachable"
        case .cannotCreate: "cannot_create"
        case .inputOutput: "input_output"
        case .gaveUp: "gave_up"
        case .protocolBreach: "protocol_error"
        case .refused: "refused"
        case .configuration: "configuration"
        case .interrupted: "interrupted"
        }
    }
}
