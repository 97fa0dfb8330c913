// SPDX-License-Identifier: Apache-2.0

package import Sealing
package import WSProtocol

/// Why something was not done: the one error of the client, from the socket and the disk up to the person, with its
/// cause inside.
package enum ClientError: Error, Hashable, Sendable, CustomStringConvertible {
    /// There is no control connection, or none any more.
    case connection(ConnectionError)
    /// A data stream ended before its time.
    case stream(StreamError)
    /// A file could not be read or stored, or the profile not be used.
    case file(FileError)
    /// What is sealed is refused, or cannot be sealed.
    case sealing(SealingError)
    /// What arrives is larger than this side takes.
    case tooLarge
    /// The transfer ended with a code of the wire.
    case transfer(TransferFailure)
    /// The command cannot do what it was asked, in a line of its own.
    case command(String, ExitStatus)
    /// The person interrupted it.
    case interrupted

    /// Takes the cause out of an error that comes without its type: through a future, a task group or the argument
    /// parser. What a library throws has been made one of these types where that is called: all else is unexpected.
    package init(_ error: any Error) {
        switch error {
        case let error as ClientError: self = error
        case let error as ConnectionError: self = .connection(error)
        case let error as StreamError: self = .stream(error)
        case let error as FileError: self = .file(error)
        case let error as SealingError: self = .sealing(error)
        case let error as TransferFailure: self = .transfer(error)
        case is CancellationError: self = .interrupted
        default: self = .command("an unexpected error: \(error)", .inputOutput)
        }
    }

    /// One line: what happened, to what, what to do next.
    package var description: String {
        switch self {
        case .connection(let error): error.description
        case .stream(let error): error.summary
        case .file(let error): error.description
        case .sealing(let error): error.description
        case .tooLarge: "it is larger than --max-size; raise --max-size to take it"
        case .transfer(let error): error.description
        case .command(let line, _): line
        case .interrupted: "interrupted"
        }
    }

    /// What happened, without what to do next where that can be left out.
    package var what: String {
        switch self {
        case .connection(let error): error.summary
        case .file(let error): error.what
        case .transfer(let error): error.what
        case .stream, .sealing, .tooLarge, .command, .interrupted: description
        }
    }

    /// What programs that watch find in the `code` of a failure.
    package var code: String { if case .transfer(let failure) = self { failure.code.rawValue } else { status.code } }

    /// What the process ends with because of it.
    package var status: ExitStatus {
        switch self {
        case .connection(let error): error.status
        case .stream(.connection(let error)): error.status
        case .stream: .unreachable
        case .file(let error): error.status
        case .sealing(let error): error.failureCode.map { ExitStatus($0) } ?? .configuration
        case .tooLarge: .refused
        case .transfer(let error): error.status
        case .command(_, let status): status
        case .interrupted: .interrupted
        }
    }

    /// Why there is no control connection, where that is the cause.
    package var connection: ConnectionError? { if case .connection(let error) = self { error } else { nil } }

    /// The data stream's end, where that is the cause.
    package var stream: StreamError? { if case .stream(let error) = self { error } else { nil } }

    /// The file's failure, where that is the cause.
    package var file: FileError? { if case .file(let error) = self { error } else { nil } }

    /// How what is sent was changed meanwhile, where that is the cause.
    package var change: FileError? { file.flatMap { $0.code == .changed ? $0 : nil } }

    /// What the other client is told because of it.
    ///
    /// - Parameter other: what it is told of anything that has no code of its own.
    package func failureCode(or other: FailureCode) -> FailureCode {
        switch self {
        case .file(let error): error.failureCode ?? other
        case .sealing(let error): error.failureCode ?? other
        case .tooLarge: .tooLarge
        case .interrupted: .cancelled
        case .transfer(let failure): failure.code
        case .connection, .stream, .command: other
        }
    }
}

extension ClientError {
    /// Whether the receiver had no place for it: then it may have nothing of it.
    package var isUnstored: Bool {
        guard case .transfer(let failure) = self else { return false }
        return failure.code == .cannotWrite || failure.code == .noSpace
    }

    /// Whether the same transfer cannot go on after this.
    package var endsTransfer: Bool {
        switch self {
        case .sealing: true
        case .file(let error): error.code == .changed
        case .transfer(let failure): failure.code.endsTransfer
        case .tooLarge: true
        case .connection, .stream, .command, .interrupted: false
        }
    }
}

extension FailureCode {
    /// Whether the same transfer cannot go on after it, and what has come of it is of no use: it would carry another
    /// content now, or the receiver does not want it, or what was said about it makes no sense.
    package var endsTransfer: Bool {
        switch self {
        case .sourceChanged, .protocolError, .verificationFailed, .tooLarge, .declined: true
        case .badMessage, .unknownType, .notNow, .rateLimited, .loginRefused, .nameTaken, .badInvitation,
            .registrationClosed, .accountDisabled, .tooManySessions, .unknownPeer, .peerOffline, .unknownTransfer,
            .transferExists, .tooManyTransfers, .dayLimit, .requestExists, .unknownRequest, .draining, .unavailable,
            .clusterUnavailable, .internalError, .acceptedElsewhere, .expired, .senderGone, .receiverGone, .stalled,
            .malformedBody, .endedByOperator, .cancelled, .timedOut, .noSpace, .cannotWrite, .cannotRead,
            .identityChanged, .badPrekey, .staleOffer, .notShared, .tooManyRequests:
            false
        }
    }
}

extension SealingError {
    /// What the other client is told; nil where it has nothing to do with it.
    package var failureCode: FailureCode? { code.map { FailureCode(rawValue: $0.rawValue) ?? .protocolError } }
}
