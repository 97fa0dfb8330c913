// SPDX-License-Identifier: Apache-2.0

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
