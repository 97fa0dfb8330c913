// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface
import FoundationEssentials
import NIOCore
import NIOHTTP1
import WSProtocol

/// An HTTP proxy that opens tunnels with CONNECT (RFC 9110, section 9.3.6).
struct Proxy: Hashable, Sendable, CustomStringConvertible {
    let endpoint: Endpoint
    /// The Proxy-Authorization field, when the proxy's URL had a user name. Secret.
    let authorization: String?

    /// The port of a proxy's URL that names none, as curl has it.
    static let defaultPort = 1080

    /// Where the proxy is; never its credentials.
    var description: String { "http://\(endpoint)" }

    /// Why a variable's value is not a proxy this client can use, as a message that never holds the value.
    struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        let description: String
    }

    /// Reads `[http://][user[:password]@]host[:port][/]`, the value of the variable called `variable`.
    init(_ text: String, variable: String) throws(Malformed) {
        var rest = Substring(text)
        var port = Self.defaultPort
        if let separator = rest.firstRange(of: "://") {
            let scheme = rest[..<separator.lowerBound].lowercased()
            guard scheme == "http" else {
                throw Malformed(
                    description:
                        "\(variable) names a proxy of another kind than http://; only HTTP proxies are supported"
                )
            }
            rest = rest[separator.upperBound...]
            port = 80
        }
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        var authorization: String?
        if let at = rest.lastIndex(of: "@") {
            authorization = try Self.basic(rest[..<at], variable: variable)
            rest = rest[rest.index(after: at)...]
        }
        // A proxy's URL without a scheme has had port 1080 since before there were other tools; with one, port 80.
        guard let endpoint = Endpoint.parse(rest, defaultPort: port) else {
            throw Malformed(description: "\(variable) is not a proxy's URL; write it as http://proxy.example.com:3128")
        }
        self.endpoint = endpoint
        self.authorization = authorization
    }

    /// Basic credentials (RFC 7617, section 2) from the user part of a URL.
    private static func basic(_ userInfo: Substring, variable: String) throws(Malformed) -> String {
        let parts = userInfo.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let user = PercentEncoding.decodeUTF8(parts[0]),
            let password = parts.count > 1 ? PercentEncoding.decodeUTF8(parts[1]) : "",
            !user.contains(":"),
            !(user + password).unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else {
            throw Malformed(description: "the user name or password in \(variable) is not percent-encoded correctly")
        }
        return "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }
}

/// Which proxy stands between this machine and a relay, from the customary variables: `https_proxy`,
/// `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` (the first that is set and not empty), and `no_proxy` or `NO_PROXY`.
struct ProxySettings: Hashable, Sendable {
    /// The proxy for everything that is not exempt, or why it cannot be used; nil without one.
    private let proxy: Result<Proxy, Proxy.Malformed>?
    /// Who is reached directly in spite of it.
    private let exemptions: ProxyExemptions

    /// Reads the variables of `environment`; lower case wins, as it does in curl.
    init(environment: [String: String]) {
        exemptions = ProxyExemptions(environment["no_proxy"] ?? environment["NO_PROXY"] ?? "")
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            guard let value = environment[name].map(Pasted.trimmed), !value.isEmpty else { continue }
            proxy = Result { () throws(Proxy.Malformed) in try Proxy(value, variable: name) }
            return
        }
        proxy = nil
    }

    /// The proxy on the way to `endpoint`; nil means a direct connection. Throws where that is one this client cannot
    /// use.
    func proxy(for endpoint: Endpoint) throws(Proxy.Malformed) -> Proxy? {
        guard let proxy, !exemptions.contain(endpoint) else { return nil }
        return try proxy.get()
    }
}

/// The list in `NO_PROXY`: entries between commas or white space, each a name (which stands for its sub-domains too,
/// with or without a dot before it), an address, a range such as `10.0.0.0/8`, any of these with `:port`, or `*`.
struct ProxyExemptions: Hashable, Sendable {
    private let entries: [Entry]

    private enum Entry: Hashable, Sendable {
        case everything
        case name(String, port: Int?)
        case range(IPAddress, prefix: Int)
        case address(IPAddress, port: Int?)
    }

    /// Reads the value of the variable. What is not an entry is passed over, as curl does.
    init(_ list: String) {
        entries = list.split { $0 == "," || $0.isWhitespace }.prefix(Defaults.mostProxyExemptions).compactMap(
            Self.entry)
    }

    /// Whether `endpoint` is to be reached without the proxy.
    func contain(_ endpoint: Endpoint) -> Bool {
        let address = IPAddress(endpoint.host)
        return entries.contains { entry in
            switch entry {
            case .everything:
                true
            case .name(let name, let port):
                address == nil && (port ?? endpoint.port) == endpoint.port
                    && (endpoint.host == name || endpoint.host.hasSuffix("." + name))
            case .range(let network, let length):
                address?.isIn(network, prefix: length) ?? false
            case .address(let exempt, let port):
                address == exempt && (port ?? endpoint.port) == endpoint.port
            }
        }
    }

    private static func entry(_ text: Substring) -> Entry? {
        if text == "*" { return .everything }
        if let address = IPAddress(text) { return .address(address, port: nil) }
        if let slash = text.firstIndex(of: "/") {
            guard let network = IPAddress(text[..<slash]), let length = Int(text[text.index(after: slash)...]) else {
                return nil
            }
            return .range(network, prefix: length)
        }
        // Port 0 stands for "none was written": no endpoint has it.
        let bare = text.drop { $0 == "." }
        guard let endpoint = Endpoint.parse(bare, defaultPort: 0) else { return nil }
        let port = endpoint.port == 0 ? nil : endpoint.port
        if let address = IPAddress(endpoint.host) { return .address(address, port: port) }
        return .name(endpoint.host, port: port)
    }
}

/// Stands before the CONNECT handler, which does not tell what a proxy that refuses has said.
final class ProxyAnswerHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart

    /// A proxy's answer that opens no tunnel.
    struct Refusal: Error, Hashable, Sendable {
        let status: Int
    }

    private let promise: EventLoopPromise<Void>
    private var isOver = false

    init(promise: EventLoopPromise<Void>) {
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if isOver { return }
        switch Self.unwrapInboundIn(data) {
        case .head(let head) where !(200..<300).contains(head.status.code):
            isOver = true
            promise.fail(Refusal(status: Int(head.status.code)))
            context.close(promise: nil)
        case .head, .body:
            context.fireChannelRead(data)
        case .end:
            isOver = true
            context.fireChannelRead(data)
        }
    }
}

@available(*, unavailable)
extension ProxyAnswerHandler: Sendable {}
