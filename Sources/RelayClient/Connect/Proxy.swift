// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// An HTTP proxy that opens tunnels with CONNECT (RFC 9110, section 9.3.6).
struct Proxy: Hashable, Sendable, CustomStringConvertible {
    let endpoint: Endpoint
    /// The Proxy-Authorization field, when the proxy's URL had a user name. Secret.
    let authorization: String?

    /// The port of a proxy's URL that names none, as curl has it.
    static let defaultPort = 1080

    /// Where the proxy is; never its credentials.
    var description: String { "http://\(endpoint)" }

    /// Why a variable's value is not a proxy this client can use, as a sentence that never holds the value.
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
        guard let user = decoded(parts[0]), let password = parts.count > 1 ? decoded(parts[1]) : "",
            !user.contains(":"),
            !(user + password).unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else {
            throw Malformed(description: "the user name or password in \(variable) is not percent-encoded correctly")
        }
        return "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    /// Undoes percent-encoding (RFC 3986, section 2.1); nil when a sign has no two hex digits or the result is no UTF-8.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(rest.prefix(2)) ?? "", radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
