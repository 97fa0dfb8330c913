// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferBroker

/// Whom a balancer opened a connection for, as it says in front of the first byte: the PROXY protocol, versions 1 and 2
/// (`proxy-protocol.txt` of HAProxy's documentation).
enum ProxyHeader: Equatable, Sendable {
    /// A client at this address.
    case client(SocketAddress)
    /// Itself, for a health check, or a client that it cannot name: the connection's own address is all there is.
    case balancer
}

extension ProxyHeader {
    /// What the bytes that have arrived so far are.
    enum Reading: Equatable, Sendable {
        /// The beginning of a header.
        case incomplete
        /// A header, and how many bytes it took; what follows belongs to the client.
        case complete(ProxyHeader, length: Int)
        /// Something else from the first bytes on: the peer sends no header.
        case missing
        /// A header that breaks the rules, and how.
        case malformed(String)
    }

    private static let signature1: [UInt8] = Array("PROXY ".utf8)
    private static let signature2: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    /// The longest line of version 1, its CRLF included.
    private static let longestLine = 107
    /// Signature, command, family and length of version 2.
    private static let fixedLength = 16

    /// Reads a header from the beginning of a connection. It decides as early as it can, and looks at no byte behind
    /// the header.
    static func read(_ bytes: ByteBufferView) -> Reading {
        if startsAlike(bytes, signature1) {
            return bytes.count < signature1.count ? .incomplete : readLine(bytes)
        }
        if startsAlike(bytes, signature2) {
            return bytes.count < signature2.count ? .incomplete : readBinary(bytes)
        }
        return .missing
    }

    /// Whether one of the two is the beginning of the other.
    private static func startsAlike(_ bytes: ByteBufferView, _ signature: [UInt8]) -> Bool {
        zip(bytes, signature).allSatisfy { $0 == $1 }
    }

    // MARK: Version 1: a line of text

    private static func readLine(_ bytes: ByteBufferView) -> Reading {
        let window = bytes.prefix(longestLine)
        guard let end = window.firstIndex(where: { $0 == 0x0D || $0 == 0x0A }) else {
            return window.count < longestLine ? .incomplete : .malformed("its line is too long")
        }
        let next = window.index(after: end)
        guard window[end] == 0x0D else { return .malformed("its line has no carriage return") }
        guard next < window.endIndex else {
            return window.count < longestLine ? .incomplete : .malformed("its line is too long")
        }
        guard window[next] == 0x0A else { return .malformed("its line has a carriage return inside") }
        let length = window.distance(from: window.startIndex, to: next) + 1
        let words = window[window.startIndex..<end].split(separator: 0x20, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        // What follows UNKNOWN is to be ignored, whatever it is.
        if words[1] == "UNKNOWN" { return .complete(.balancer, length: length) }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6" else {
            return .malformed("its line is not PROXY TCP4|TCP6 and two addresses and ports")
        }
        let isVersion6 = words[1] == "TCP6"
        guard let source = endpoint(words[2], words[4], isVersion6: isVersion6),
            endpoint(words[3], words[5], isVersion6: isVersion6) != nil
        else { return .malformed("its line has a wrong address or port") }
        return .complete(.client(source), length: length)
    }

    /// The address and port of one end, in the only form the protocol allows.
    private static func endpoint(_ address: String, _ port: String, isVersion6: Bool) -> SocketAddress? {
        guard (1...5).contains(port.utf8.count), port.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            port == "0" || !port.hasPrefix("0"), let number = UInt16(port),
            let found = try? SocketAddress(ipAddress: address, port: Int(number))
        else { return nil }
        switch found {
        case .v4: return isVersion6 ? nil : found
        case .v6: return isVersion6 ? found : nil
        case .unixDomainSocket: return nil
        }
    }

    // MARK: Version 2: binary

    private static func readBinary(_ view: ByteBufferView) -> Reading {
        let bytes = view.prefix(fixedLength)
        let start = bytes.startIndex
        if bytes.count > 12, bytes[start + 12] >> 4 != 2 { return .malformed("its version is neither 1 nor 2") }
        if bytes.count > 12, bytes[start + 12] & 0x0F > 1 { return .malformed("its command is unknown") }
        guard bytes.count == fixedLength else { return .incomplete }
        let isLocal = bytes[start + 12] & 0x0F == 0
        let rest = Int(bytes[start + 14]) << 8 | Int(bytes[start + 15])
        guard fixedLength + rest <= Defaults.Connection.proxyHeaderBytes else {
            return .malformed("it is longer than \(Defaults.Connection.proxyHeaderBytes) bytes")
        }
        // The addresses come first, then values this relay has no use for.
        let addressLength: Int
        switch (isLocal, bytes[start + 13]) {
        case (true, _), (false, 0x00): addressLength = 0
        case (false, 0x11): addressLength = 4
        case (false, 0x21): addressLength = 16
        case (false, _): return .malformed("it is not about TCP over IPv4 or IPv6")
        }
        guard addressLength == 0 || rest >= 2 * addressLength + 4 else {
            return .malformed("it is too short for its addresses")
        }
        let length = fixedLength + rest
        guard view.count >= length else { return .incomplete }
        guard addressLength > 0 else { return .complete(.balancer, length: length) }
        let source = view.dropFirst(fixedLength).prefix(addressLength)
        let port = view.dropFirst(fixedLength + 2 * addressLength).prefix(2).reduce(0) { $0 << 8 | Int($1) }
        guard let client = try? SocketAddress(packedIPAddress: ByteBuffer(bytes: source), port: port) else {
            return .malformed("it has a wrong address")
        }
        return .complete(.client(client), length: length)
    }
}
