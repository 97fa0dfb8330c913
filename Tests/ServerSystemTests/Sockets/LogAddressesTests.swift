// SPDX-License-Identifier: Apache-2.0

import ServerSystem
import Testing

@Suite("How much of an address is written down")
struct LogAddressesTests {
    @Test(
        "the network alone, of every way in which an address is written",
        arguments: [
            ("192.0.2.77", "192.0.2.0/24"), ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"), ("2001:db8:1::6", "2001:db8:1::/48"),
            ("2001:db8:1:2::/64", "2001:db8:1::/48"), ("0:0:0:0::/64", "0:0:0::/48"), ("::1", "0:0:0::/48"),
            ("fe80::1", "fe80:0:0::/48"),
        ])
    func prefix(_ text: String, _ shown: String) {
        #expect(LogAddresses.prefix.shown(text) == shown)
        #expect(LogAddresses.full.shown(text) == text)
        #expect(LogAddresses.none.shown(text) == nil)
    }

    @Test("what is no address is not written down", arguments: ["unknown", "", "192.0.2", "host.example", ":"])
    func nonsense(_ text: String) { #expect(LogAddresses.prefix.shown(text) == nil) }
}
