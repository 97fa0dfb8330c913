// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOExtras
import NIOHTTP1
import NIOPosix
import TLSTransport
import TransferClient
import WSProtocol
import WebSocketTransport

extension ConnectionError {
    /// There is no TCP connection to `endpoint`.
    init(connecting error: any Error, to endpoint: Endpoint, isProxy: Bool) {
        let who = isProxy ? "the proxy \(endpoint)" : "\(endpoint)"
        let noAddress =
            (error as? NIOConnectionError).map { $0.connectionErrors.isEmpty && $0.dnsAError != nil } ?? false
        if noAddress {
            self.init(
                .dns, "no address found for \(isProxy ? "the proxy " : "")\(endpoint.host)",
                advice: "check the spelling of the name, and whether this machine can resolve names at all",
                status: .unreachable, isTemporary: true
            )
        } else {
            self.init(
                .tcp, "cannot connect to \(who): \(Self.reason(error))",
                advice:
                    "check that \(isProxy ? "the proxy" : "the relay") is running there and that no firewall is in between",
                status: .unreachable, isTemporary: true
            )
        }
    }

    /// The proxy opened no tunnel.
    init(tunnelling error: any Error, through proxy: Proxy, to endpoint: Endpoint) {
        switch error {
        case let refusal as ProxyAnswerHandler.Refusal where refusal.status == 407:
            self.init(
                .proxy, "the proxy \(proxy.endpoint) wants a user name and a password, or others than it got",
                advice: "write them into HTTPS_PROXY: http://USER:PASSWORD@\(proxy.endpoint)", status: .refused
            )
        case let refusal as ProxyAnswerHandler.Refusal:
            self.init(
                .proxy, "the proxy \(proxy.endpoint) refused a tunnel to \(endpoint) (status \(refusal.status))",
                advice: "ask its operator to allow CONNECT to that host and port, or exempt the host with NO_PROXY",
                status: refusal.status == 403 ? .refused : .unreachable, isTemporary: refusal.status >= 500
            )
        default:
            self.init(
                .proxy, "the proxy \(proxy.endpoint) opened no tunnel to \(endpoint)",
                advice: "check that HTTPS_PROXY names an HTTP proxy", status: .unreachable, isTemporary: true
            )
        }
    }

    /// TLS does not stand.
    init(handshaking error: any Error, with endpoint: Endpoint) {
        guard let error = error as? TLSError else {
            self.init(
                .tls, "\(endpoint) closed the connection during the TLS handshake",
                advice: "check that it is a relay, and try again", status: .unreachable, isTemporary: true
            )
            return
        }
        switch error.code {
        case .certificateExpired:
            self.init(
                certificate: "the certificate of \(endpoint) has expired",
                advice: "ask the relay's operator to renew it, and check this machine's clock"
            )
        case .certificateNotYetValid:
            self.init(
                certificate: "the certificate of \(endpoint) is not valid yet", advice: "check this machine's clock"
            )
        case .unknownAuthority:
            self.init(
                certificate: "the certificate of \(endpoint) is not signed by an authority this machine trusts",
                advice: "if the relay has its own CA, get its certificate and pass it with --ca FILE"
            )
        case .nameMismatch:
            self.init(
                certificate: "the certificate of \(endpoint) is for other names than \(endpoint.host)",
                advice: "use the name the certificate was made for, or have one made for this name"
            )
        case .certificateRejected:
            self.init(
                certificate: "the certificate of \(endpoint) is not acceptable (\(error.detail ?? "no reason given"))",
                advice: "ask the relay's operator for a new one"
            )
        case .notTLS:
            self.init(
                .tls, "\(endpoint) does not speak TLS", advice: "check the port; the relay's is often 443 or 8443",
                status: .protocolBreach
            )
        case .nothingInCommon, .noCommonProtocol:
            self.init(
                .tls, "\(endpoint) has no TLS version, cipher or protocol in common with this client",
                advice: "check that it is a relay and not another TLS server", status: .protocolBreach
            )
        default:
            self.init(
                .tls, "TLS with \(endpoint) failed: \(error.message)",
                advice: "check that it is a relay, and try again",
                status: .unreachable, isTemporary: true
            )
        }
    }

    private init(certificate summary: String, advice: String) {
        self.init(.certificate, summary, advice: advice, status: .refused)
    }

    /// The CA file, or something else in TLS's settings, cannot be used.
    init(settings error: TLSError) {
        self.init(
            .settings, "\(error.message)\(error.subject.map { " \"\(DisplayName.escape($0))\"" } ?? "")",
            advice: "check --ca, RELAY_CA and the profile", status: .configuration
        )
    }

    /// A proxy variable cannot be used.
    init(proxy error: Proxy.Malformed) {
        self.init(.settings, error.description, advice: "mend the variable or unset it", status: .configuration)
    }

    /// The relay's URL cannot be used.
    init(url description: String) {
        self.init(
            .settings, description, advice: "the form is https://relay.example.com[:PORT]", status: .configuration
        )
    }

    /// What the system says about a connection that did not come about, in a few words.
    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            error.connectionErrors.last.map { reason($0.error) } ?? "no address"
        case let error as IOError where error.errnoCode == ECONNREFUSED: "connection refused"
        case let error as IOError where error.errnoCode == ENETUNREACH || error.errnoCode == EHOSTUNREACH:
            "no route to it"
        case let error as IOError where error.errnoCode == ETIMEDOUT: "no answer"
        case let error as IOError: "system error \(error.errnoCode)"
        case ChannelError.connectTimeout: "no answer within \(Defaults.connectTimeout.nanoseconds / 1_000_000_000) s"
        default: "the connection was closed"
        }
    }
}

extension ConnectionError {
    /// The relay answered the upgrade with something else than a WebSocket.
    init(upgradeRefused answer: HTTPResponse, relay: RelayURL) {
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

    /// This error as one of the login, where no session stood yet.
    var duringLogin: ConnectionError {
        guard step == .session else { return self }
        return ConnectionError(
            .login, summary, advice: advice, status: status, isTemporary: isTemporary, code: code
        )
    }

    /// The relay refused the login.
    ///
    /// - Parameter said: its own message, if it gave one.
    init(refused code: FailureCode, saying said: String? = nil, name: PeerName, relay: RelayURL) {
        let (summary, advice): (String, String) =
            switch code {
            case .loginRefused:
                (
                    "\(relay) does not know \(name) with this profile's key",
                    "run `relay-client login \(relay) --name \(name)` with an invitation"
                )
            case .nameTaken: ("the name \(name) belongs to another user on \(relay)", "choose another name")
            case .badInvitation:
                (
                    "\(relay) does not accept the invitation: it is unknown, used, expired or for another name",
                    "ask the relay's operator for a new one"
                )
            case .registrationClosed:
                ("\(relay) takes no new names, or no more from this network today", "ask the relay's operator")
            case .accountDisabled: ("\(name) is disabled on \(relay)", "ask the relay's operator")
            case .tooManySessions:
                (
                    "\(name) is logged in to \(relay) too often already",
                    said.map { "the relay says: \($0)" } ?? "close another session of this name first"
                )
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
        case (.peer, .closedByOperator):
            self.init(
                .session, "the operator of \(relay) closed the connection", advice: "try again in a moment",
                status: .unreachable, isTemporary: true
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
