// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOHTTP1
import TLSTransport
import TransferClient
import WSProtocol
import WebSocketTransport

extension ConnectionError {
    /// The relay answered the upgrade with something else than a WebSocket.
    init(upgradeRefused answer: HTTPAnswer, relay: RelayURL) {
        switch answer.status {
        case 500, 502, 503, 504:
            self.init(
                .webSocket, "\(relay) takes no new connections now (status \(answer.status))",
                advice: "it is full or about to restart; try again in a moment", status: .unreachable,
                isTemporary: true, code: answer.code ?? (answer.status == 503 ? .unavailable : nil)
            )
        case 401, 403, 407:
            self.init(
                .webSocket, "\(relay) refused the connection (status \(answer.status))",
                advice: "something between here and the relay wants a login or forbids it", status: .refused,
                code: answer.code
            )
        default:
            self.init(
                .webSocket, "\(relay) is not a relay: it answered the upgrade with status \(answer.status)",
                advice: "check the URL, its port and its path", status: .protocolBreach, code: answer.code
            )
        }
    }

    /// The upgrade ended without an answer, or with one that is not HTTP.
    init(upgrading error: any Error, relay: RelayURL) {
        if Self.isCut(error) {
            self.init(
                .webSocket, "\(relay) closed the connection instead of answering the upgrade",
                advice: "check that it is a relay, and try again", status: .unreachable, isTemporary: true
            )
        } else {
            self.init(
                .webSocket, "\(relay) does not answer the upgrade as a relay does",
                advice: "check the URL, its port and its path", status: .protocolBreach
            )
        }
    }

    /// The upgrade was not answered in time.
    init(upgradeUnanswered relay: RelayURL) {
        self.init(
            .webSocket, "\(relay) does not answer the upgrade", advice: "check that it is a relay, and try again",
            status: .unreachable, isTemporary: true
        )
    }

    /// Whether `error` only says that the connection is gone, whichever layer noticed it.
    private static func isCut(_ error: any Error) -> Bool {
        switch error {
        case is ChannelError, is IOError, is TLSError: true
        case let error as HTTPParserError: error == .invalidEOFState
        default: false
        }
    }

    /// The relay took the connection and said nothing more.
    init(loginUnanswered relay: RelayURL) {
        self.init(
            .login, "\(relay) does not answer the login", advice: "check that it is a relay, and try again",
            status: .unreachable, isTemporary: true
        )
    }

    /// The same, where no session stood yet: then it is the login that has failed.
    var duringLogin: ConnectionError {
        guard step == .session else { return self }
        return ConnectionError(
            .login, summary, advice: advice, status: status, isTemporary: isTemporary, code: code
        )
    }

    /// The relay refused the login.
    init(refused code: FailureCode, name: PeerName, relay: RelayURL) {
        let (summary, advice): (String, String) =
            switch code {
            case .loginRefused:
                (
                    "\(relay) does not know \(name) with this profile's key",
                    "run `relay-client login \(relay) --name \(name)` with an invitation"
                )
            case .nameTaken: ("the name \(name) belongs to somebody else on \(relay)", "choose another name")
            case .badInvitation:
                (
                    "\(relay) does not accept the invitation: it is unknown, used, expired or for another name",
                    "ask whoever runs the relay for a new one"
                )
            case .registrationClosed: ("\(relay) takes no new names", "ask whoever runs the relay")
            case .tooManySessions:
                ("\(name) is logged in to \(relay) too often already", "close another session of this name first")
            default: ("\(relay) refused the login of \(name) (\(code.rawValue))", "try again in a moment")
            }
        let isTemporary =
            switch code {
            case .unavailable, .clusterUnavailable, .internalError, .draining, .rateLimited, .tooManySessions: true
            default: false
            }
        self.init(.login, summary, advice: advice, status: ExitStatus(code), isTemporary: isTemporary, code: code)
    }

    /// The control connection is over.
    init(closed code: UInt16?, reason: WebSocketClosing, relay: RelayURL) {
        let known = code.flatMap(WebSocketCloseCode.init(rawValue:))
        switch (reason, known) {
        case (.violation(.unansweredPing), _), (.violation(.slowReader), _):
            self.init(
                .session, "\(relay) does not answer any more", advice: "check the network, and try again",
                status: .unreachable, isTemporary: true
            )
        case (.violation, _):
            self.init(
                .session, "\(relay) broke the protocol", advice: "check that it is a relay of this version",
                status: .protocolBreach
            )
        case (.peer, .loginFailed):
            self.init(
                .login, "\(relay) ended the login", advice: "try again; if it stays, log in anew",
                status: .refused, isTemporary: true
            )
        case (.peer, .policyViolation):
            self.init(
                .session, "\(relay) closed the connection, as a limit of it was met",
                advice: "try again in some seconds",
                status: .gaveUp, isTemporary: true, code: .rateLimited
            )
        case (.peer, .protocolError), (.peer, .unacceptableData), (.peer, .invalidData), (.peer, .tooLarge):
            self.init(
                .session, "\(relay) closed the connection: it does not understand this client",
                advice: "check that both are of the same version", status: .protocolBreach
            )
        case (.peer, .goingAway):
            self.init(
                .session, "\(relay) is going away", advice: "try again in a moment", status: .unreachable,
                isTemporary: true
            )
        case (.peer, _), (.local, _), (.lost, _):
            self.init(
                .session, "the connection to \(relay) was lost", advice: "check the network, and try again",
                status: .unreachable, isTemporary: true
            )
        }
    }
}
