// SPDX-License-Identifier: Apache-2.0

/// Which proxy stands between this machine and a relay, from the variables everybody uses: `https_proxy`,
/// `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` (the first that is set and not empty), and `no_proxy` or `NO_PROXY`.
struct ProxySettings: Hashable, Sendable {
    /// The proxy for everything that is not exempt; nil without one.
    let proxy: Proxy?
    /// Who is reached directly in spite of it.
    let exemptions: ProxyExemptions

    /// No proxy at all.
    static let direct = ProxySettings(proxy: nil, exemptions: ProxyExemptions(""))

    init(proxy: Proxy?, exemptions: ProxyExemptions) {
        self.proxy = proxy
        self.exemptions = exemptions
    }

    /// Reads the variables of `environment`; lower case wins, as it does in curl.
    init(environment: [String: String]) throws(Proxy.Malformed) {
        exemptions = ProxyExemptions(environment["no_proxy"] ?? environment["NO_PROXY"] ?? "")
        for name in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            guard let value = environment[name], !value.isEmpty else { continue }
            proxy = try Proxy(value, variable: name)
            return
        }
        proxy = nil
    }

    /// The proxy on the way to `endpoint`; nil means a direct connection.
    func proxy(for endpoint: Endpoint) -> Proxy? {
        guard let proxy, !exemptions.contain(endpoint) else { return nil }
        return proxy
    }
}
