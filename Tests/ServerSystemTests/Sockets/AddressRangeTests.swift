// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import ServerSystem

@Suite("Address ranges")
struct AddressRangeTests {
    @Test(
        "contain what has the same bits in front",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false), ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.128/25", "192.0.2.200", true), ("0.0.0.0/0", "203.0.113.7", true), ("0.0.0.0/0", "::1", false),
            ("::/0", "10.0.0.1", false), ("fd00::/8", "fd12::1", true), ("fd00::/8", "fe80::1", false),
            ("::1", "::1", true), ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("::/0", "2001:db8::1", true), ("192.0.2.1/32", "192.0.2.1", true),
        ]
    )
    func contains(range: String, address: String, expected: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try SocketAddress(ipAddress: address, port: 1)) == expected)
    }

    @Test(
        "what is none",
        arguments: [
            "", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08x", "10.0.0/8", "::/129",
            "10.0.0.1/8", "host", "10.0.0.0/8/8", "010.0.0.0/8", " 10.0.0.0/8", "[::1]", "fd00::1/8", "10.0.0.0/9999",
        ]
    )
    func refused(text: String) {
        #expect(AddressRange(text) == nil)
    }

    @Test("a socket of another family is in none")
    func otherFamily() throws {
        #expect(try AddressRange("0.0.0.0/0")?.contains(SocketAddress(unixDomainSocketPath: "/s")) == false)
    }
}
