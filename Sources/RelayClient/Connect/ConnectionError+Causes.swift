// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOExtras
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
                advice: "ask whoever runs it to allow CONNECT to that host and port, or exempt the host with NO_PROXY",
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
                advice: "ask whoever runs the relay to renew it, and check this machine's clock"
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
                advice: "ask whoever runs the relay to make a new one"
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
