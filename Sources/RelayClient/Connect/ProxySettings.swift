// SPDX-License-Identifier: Apache-2.0

import CommandLineInterface

/// Which proxy stands between this machine and a relay, from the variables everybody uses: `https_proxy`,
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

    /// The proxy on the way to `endpoint`; nil means a direct connection. Throws where that is one this client cannot use.
    func proxy(for endpoint: Endpoint) throws(Proxy.Malformed) -> Proxy? {
        guard let proxy, !exemptions.contain(endpoint) else { return nil }
        return try proxy.get()
    }
}
