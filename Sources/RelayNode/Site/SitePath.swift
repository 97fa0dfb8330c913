// SPDX-License-Identifier: Apache-2.0

import TransferBroker
import WSProtocol

/// Where the path of a request leads below the folder of a site. The system sees to it that it stays there; this sees
/// to it that a path means one file only, and that what operators hide by a dot stays hidden.
enum SitePath {
    /// The name of the file below the folder; nil when there can be none.
    static func file(of path: String) -> String? {
        guard path.hasPrefix("/"), path.utf8.count <= Defaults.Site.pathBytes else { return nil }
        var segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let isFolder = segments.last?.isEmpty ?? true
        if isFolder { segments.removeLast() }
        var names: [String] = []
        for segment in segments {
            guard let bytes = PercentEncoding.decode(segment), isName(bytes),
                let name = String(validating: bytes, as: UTF8.self)
            else { return nil }
            names.append(name)
        }
        if isFolder { names.append("index.html") }
        return names.joined(separator: "/")
    }

    /// Whether a part of a path is the name of one file or folder, and not of a hidden one.
    private static func isName(_ bytes: [UInt8]) -> Bool {
        !bytes.isEmpty && bytes.count <= 255 && bytes[0] != UInt8(ascii: ".")
            && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") }
    }
}

/// What ACME's authorities ask for (RFC 8555, section 8.3).
enum ChallengePath {
    private static let prefix = "/.well-known/acme-challenge/"

    /// The name of the token's file below the folder; nil for any other path, and for what is no token.
    static func file(of path: String) -> String? {
        guard path.hasPrefix(prefix) else { return nil }
        let token = path.dropFirst(prefix.count)
        guard (1...Defaults.Site.challengeTokenBytes).contains(token.utf8.count), token.utf8.allSatisfy(isTokenByte)
        else { return nil }
        return String(path.dropFirst())
    }

    /// Whether `path` asks for a challenge, of whatever name.
    static func covers(_ path: String) -> Bool { path.hasPrefix(prefix) }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}
