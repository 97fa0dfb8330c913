// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import Testing

@testable import RelayNode

@Suite("PROXY headers")
struct ProxyHeaderTests {
    /// One header of each kind, byte for byte.
    static let headers: [(bytes: [UInt8], client: (String, Int)?)] = [
        (line("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443"), ("192.0.2.1", 56324)),
        (line("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535"), ("2001:db8::1", 0)),
        (line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), ("255.255.255.255", 65535)),
        (line("PROXY UNKNOWN"), nil),
        (line("PROXY UNKNOWN ffff:f:f::1 what ever"), nil),
        (line("PROXY UNKNOWN " + String(repeating: "x", count: 91)), nil),
        // Version 2, PROXY, TCP over IPv4, 12 bytes.
        (binary(0x21, 0x11, [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x01, 0xBB]), ("192.0.2.1", 56324)),
        // The same, with two values behind it: an ALPN, and one byte of padding.
        (
            binary(
                0x21, 0x11, [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x01, 0xBB, 1, 0, 2, 0x68, 0x32, 4, 0, 1, 0]
            ), ("192.0.2.1", 56324)
        ),
        // TCP over IPv6, 36 bytes.
        (
            binary(0x21, 0x21, [0x20, 1, 0xD, 0xB8] + zeros(11) + [1] + zeros(16) + [0x1F, 0x90, 0x01, 0xBB]),
            ("2001:db8::1", 8080)
        ),
        (binary(0x20, 0x00, []), nil),
        // LOCAL: what follows means nothing, whatever it says.
        (binary(0x20, 0x11, [192, 0, 2, 1, 198, 51, 100, 2, 0xDC, 0x04, 0x01, 0xBB]), nil),
        (binary(0x20, 0x31, [1, 2, 3]), nil),
        (binary(0x21, 0x00, [9, 9, 9]), nil),
        (binary(0x21, 0x11, [192, 0, 2, 1, 198, 51, 100, 2, 0, 1, 0, 2] + zeros(2020)), ("192.0.2.1", 1)),
    ]

    @Test("are read whole, with any bytes behind them", arguments: headers.indices)
    func whole(index: Int) throws {
        let (bytes, client) = Self.headers[index]
        let expected = try ProxyHeader.Reading.complete(Self.header(client), length: bytes.count)
        #expect(Self.read(bytes) == expected)
        #expect(Self.read(bytes + [0x16, 0x03, 0x01, 0x0D, 0x0A]) == expected)
        #expect(Self.read(bytes + bytes) == expected)
    }

    @Test("are waited for at every byte", arguments: headers.indices)
    func cut(index: Int) {
        let bytes = Self.headers[index].bytes
        for length in bytes.indices { #expect(Self.read(Array(bytes[..<length])) == .incomplete, "\(length)") }
    }

    @Test("something else is told apart at its first wrong byte")
    func missing() {
        for text in [
            "GET / HTTP/1.1\r\n", "PROXX ", "PROXY\t", "proxy TCP4", "\r\n\r\nGET", "\r\n\r\n\0\r\nQUIX", "\u{16}",
        ] {
            #expect(Self.read(Array(text.utf8)) == .missing, "\(text)")
        }
        #expect(Self.read([0x16, 0x03, 0x01]) == .missing)
    }

    @Test(
        "a wrong line is refused",
        arguments: [
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1",
            "PROXY  TCP4 192.0.2.1 198.51.100.2 56324 443", "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 ",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2", "PROXY TCP6 192.0.2.1 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.1 2001:db8::2 1 2", "PROXY TCP4 192.0.2.256 198.51.100.2 1 2",
            "PROXY TCP4 192.0.2.01 198.51.100.2 1 2", "PROXY TCP4 192.0.2.1 198.51.100.2 01 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2", "PROXY TCP4 192.0.2.1 198.51.100.2 -1 2",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2", "PROXY TCP4 192.0.2.1 198.51.100.2 1 x",
            "PROXY TCP5 192.0.2.1 198.51.100.2 1 2", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2", "PROXY ",
            "PROXY TCP4", "PROXY UNKNOWNX", "PROXY tcp4 192.0.2.1 198.51.100.2 1 2", "PROXY TCP4 \u{0} \u{0} 1 2",
            "PROXY TCP6 ::1%lo ::1 1 2", "PROXY TCP4 192.0.2.1 198.51.100.2 1\r2 3",
        ]
    )
    func wrongLines(text: String) {
        #expect(Self.isMalformed(Self.line(text)), "\(text)")
    }

    @Test("a line has to end in CRLF within 107 bytes")
    func lineEnds() {
        #expect(Self.isMalformed(Array("PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n".utf8)))
        let long = Array(("PROXY UNKNOWN " + String(repeating: "x", count: 93)).utf8)
        #expect(long.count == 107)
        #expect(Self.read(Array(long[..<106])) == .incomplete)
        #expect(Self.isMalformed(long))
        #expect(Self.isMalformed(Array(long[..<106]) + [0x0D]))
        #expect(Self.isMalformed(Array(long[..<106]) + [0x0D, 0x0A]))
    }

    @Test("a wrong binary header is refused, as early as it can be")
    func wrongBinary() {
        let address: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0, 1, 0, 2]
        for (command, family) in [
            (0x11, 0x11), (0x31, 0x11), (0x01, 0x11), (0x22, 0x11), (0x2F, 0x11), (0x21, 0x12), (0x21, 0x22),
            (0x21, 0x31), (0x21, 0x01), (0x21, 0x10), (0x21, 0x41), (0x21, 0xFF),
        ] as [(UInt8, UInt8)] {
            #expect(Self.isMalformed(Self.binary(command, family, address)), "\(command) \(family)")
        }
        #expect(Self.isMalformed(Array(Self.binary(0x31, 0x11, address)[..<13])))
        #expect(Self.isMalformed(Self.binary(0x21, 0x11, Array(address[..<11]))))
        #expect(Self.isMalformed(Self.binary(0x21, 0x21, address + address + Array(address[..<11]))))
        // Too long is refused by its length alone: nothing is gathered for it.
        #expect(Self.isMalformed(Array(Self.binary(0x21, 0x11, address + Self.zeros(2021))[..<16])))
        #expect(Self.isMalformed(Array(Self.binary(0x20, 0x00, Self.zeros(0xFFFF))[..<16])))
    }

    @Test("damaged and cut headers are read or refused")
    func anything() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 {
            var bytes = Self.headers[Int.random(in: Self.headers.indices, using: &generator)].bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            bytes = Array(bytes.prefix(.random(in: 0...bytes.count, using: &generator)))
            if case .complete(_, let length) = Self.read(bytes) { #expect(length <= bytes.count) }
        }
    }

    // MARK: Making them

    static func line(_ text: String) -> [UInt8] { Array((text + "\r\n").utf8) }

    static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    static func binary(_ command: UInt8, _ family: UInt8, _ rest: [UInt8]) -> [UInt8] {
        [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, command, family]
            + [UInt8(rest.count >> 8), UInt8(rest.count & 0xFF)] + rest
    }

    private static func header(_ client: (String, Int)?) throws -> ProxyHeader {
        guard let (host, port) = client else { return .balancer }
        return .client(try SocketAddress(ipAddress: host, port: port))
    }

    private static func read(_ bytes: [UInt8]) -> ProxyHeader.Reading {
        // Not at the beginning of its buffer: indices of a view need not start at 0.
        var buffer = ByteBuffer(bytes: [1, 2, 3] + bytes)
        buffer.moveReaderIndex(forwardBy: 3)
        return ProxyHeader.read(buffer.readableBytesView)
    }

    private static func isMalformed(_ bytes: [UInt8]) -> Bool {
        if case .malformed = read(bytes) { return true }
        return false
    }
}
