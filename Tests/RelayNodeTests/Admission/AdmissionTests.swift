// SPDX-License-Identifier: Apache-2.0

import NIOCore
import NIOEmbedded
import Pacing
import ServerSystem
import Testing

@testable import RelayNode

@Suite struct AdmissionTests {
    @Test func refusesBeforeItClosesAndForgetsWhoLeft() throws {
        let admission = Admission(descriptorLimit: 1000, unauthenticatedPerAddress: nil)
        let local = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        var tickets: [ConnectionLease] = []
        var verdicts: [Admission.Verdict] = []
        for _ in 0..<901 {
            let (verdict, ticket) = admission.connectionOpened(from: local)
            verdicts.append(verdict)
            tickets.append(ticket)
        }
        #expect(verdicts[799] == .admitted)
        #expect(verdicts[800] == .refused)
        #expect(verdicts[899] == .refused)
        #expect(verdicts[900] == .closed)
        for ticket in tickets { ticket.drop() }
        #expect(admission.connections == 0)
    }

    @Test(arguments: [(199, 159, 179), (1024, 819, 921), (5, 4, 4), (Int.max, Int.max / 5 * 4, Int.max / 10 * 9)])
    func sharesOfAnyLimitAreExact(limit: Int, refused: Int, closed: Int) throws {
        guard limit < 10_000 else {
            #expect(Admission(descriptorLimit: limit).connectionOpened(from: nil).0 == .admitted)
            return
        }
        let admission = Admission(descriptorLimit: limit)
        let verdicts = (0..<limit).map { _ in admission.connectionOpened(from: nil).0 }
        #expect(verdicts.prefix(while: { $0 == .admitted }).count == refused)
        #expect(verdicts.prefix(while: { $0 != .closed }).count == closed)
    }

    @Test func connectionsOfNodesTakeRoomAndAreNotRefused() throws {
        let admission = Admission(descriptorLimit: 100)
        let channels = (0..<85).map { _ in EmbeddedChannel() }
        for channel in channels { admission.count(channel) }
        #expect(admission.connections == 0)
        let (verdict, ticket) = admission.connectionOpened(from: nil)
        #expect(verdict == .refused)
        ticket.drop()
        for channel in channels.prefix(10) {
            try channel.close().wait()
            channel.embeddedEventLoop.run()
        }
        #expect(admission.connectionOpened(from: nil).0 == .admitted)
    }

    /// With and without a limit for those of one address, and of addresses that are not known.
    @Test(arguments: [nil, 8], [nil, "127.0.0.1"])
    func whoHasShownNothingIsNew(limit: Int?, address: String?) throws {
        let admission = Admission(descriptorLimit: 100, unauthenticatedPerAddress: limit)
        let address = try address.map { try SocketAddress(ipAddress: $0, port: 1) }
        let leases = (0..<3).map { _ in admission.connectionOpened(from: address).1 }
        leases[0].identified()
        leases[0].identified()
        leases[1].drop()
        #expect(admission.hasNewcomers && admission.connections == 2)
        leases[2].identified()
        #expect(!admission.hasNewcomers)
        for lease in [leases[0], leases[2]] { lease.drop() }
        #expect(!admission.hasNewcomers && admission.connections == 0)
    }

    @Test func whoComesWhileClientsGoElsewhereIsLetIn() {
        let admission = Admission(descriptorLimit: 100)
        #expect(!admission.isStopping && !admission.refusesSessions)
        admission.stop(.leaving)
        #expect(admission.isStopping && !admission.refusesSessions)
        admission.stop(.draining)
        #expect(admission.isStopping && admission.refusesSessions)
        admission.stop(.none)
        #expect(!admission.isStopping && !admission.refusesSessions)
    }

    @Test func whatTheProcessHasForItselfCountsAsUsed() {
        let admission = Admission(descriptorLimit: 60)
        admission.reserve(30)
        let verdicts = (0..<30).map { _ in admission.connectionOpened(from: nil).0 }
        #expect(verdicts.prefix(while: { $0 == .admitted }).count == 18)
        #expect(verdicts.prefix(while: { $0 != .closed }).count == 24)
        #expect(admission.isShortOfDescriptors)
    }

    @Test func connectionsAreRefusedOnlyWhenMemoryRunsOut() {
        let admission = Admission(descriptorLimit: 100)
        let expected: [(MemoryPressure, Admission.Verdict)] = [
            (.high, .admitted), (.critical, .refused), (.none, .admitted),
        ]
        for (pressure, verdict) in expected {
            admission.memoryChanged(pressure)
            #expect(admission.connectionOpened(from: nil).0 == verdict)
        }
    }

    @Test(
        "clients of one IPv6 network share its limits, under a name that the log shortens as it does addresses",
        arguments: [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"),
            ("2001:db8:1:2::9", "2001:db8:1:2::/64", "2001:db8:1::/48"), ("::1", "0:0:0:0::/64", "0:0:0::/48"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.0/24"),
        ])
    func shares(address: String, share: String, shown: String) throws {
        let (_, lease) = Admission(descriptorLimit: 100).connectionOpened(
            from: try SocketAddress(ipAddress: address, port: 1))
        #expect(lease.address.share == share)
        #expect(LogAddresses.prefix.shown(share) == shown)
        lease.drop()
    }

    @Test func boundsUnauthenticatedConnectionsOfOneAddressOnly() throws {
        let admission = Admission(descriptorLimit: 10_000, unauthenticatedPerAddress: 2)
        let one = try SocketAddress(ipAddress: "192.0.2.1", port: 1)
        let other = try SocketAddress(ipAddress: "192.0.2.2", port: 1)
        let (_, first) = admission.connectionOpened(from: one)
        _ = admission.connectionOpened(from: one)
        let (third, thirdTicket) = admission.connectionOpened(from: one)
        #expect(third == .closed)
        thirdTicket.drop()
        #expect(admission.connectionOpened(from: other).0 == .admitted)
        first.identified()
        first.identified()
        #expect(admission.connectionOpened(from: one).0 == .admitted)
    }

    @Test("connections that end without a login or a token may follow one another only so fast")
    func paceOfThoseThatShowNothing() throws {
        let admission = Admission(
            descriptorLimit: 10_000, unauthenticatedPace: Pace.Limits(perSecond: 10, burst: 3))
        let one = try SocketAddress(ipAddress: "192.0.2.1", port: 1)
        let other = try SocketAddress(ipAddress: "192.0.2.2", port: 1)
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        func comes(_ address: SocketAddress, at now: NIODeadline, shows: Bool) -> Admission.Verdict {
            let (verdict, lease) = admission.connectionOpened(from: address, now: now)
            if shows, verdict == .admitted { lease.identified() }
            lease.drop()
            return verdict
        }
        // Those that have shown something are not counted, and those that are still there are.
        for _ in 0..<20 { #expect(comes(one, at: start, shows: true) == .admitted) }
        for _ in 0..<3 { #expect(comes(one, at: start, shows: false) == .admitted) }
        #expect(comes(one, at: start, shows: true) == .closed)
        #expect(comes(other, at: start, shows: false) == .admitted)
        // Those that were closed are not, either, so that one comes in each tenth of a second.
        for _ in 0..<20 { #expect(comes(one, at: start, shows: false) == .closed) }
        #expect(comes(one, at: start + .milliseconds(99), shows: false) == .closed)
        #expect(comes(one, at: start + .milliseconds(100), shows: false) == .admitted)
        #expect(comes(one, at: start + .milliseconds(100), shows: false) == .closed)
        // Behind a balancer it is the client that counts.
        let (_, named) = admission.connectionOpened(from: nil, now: start + .milliseconds(110))
        #expect(!named.belongs(to: one, now: start + .milliseconds(110)))
        named.drop()
        let (_, later) = admission.connectionOpened(from: nil, now: start + .milliseconds(200))
        #expect(later.belongs(to: one, now: start + .milliseconds(200)))
        later.drop()
        #expect(comes(one, at: start + .milliseconds(299), shows: false) == .closed)
        // An operator may allow an address more.
        admission.apply(.standard)
        #expect(comes(one, at: start + .milliseconds(299), shows: false) == .admitted)
    }

    /// Addresses whose clients are logged in, or carry bytes, share the descriptors by how many are free.
    @Test(arguments: [1, 2, 5]) func noFewAddressesHaveAllDescriptors(addresses: Int) throws {
        let admission = Admission(descriptorLimit: 1000)
        var tickets: [ConnectionLease] = []
        func admitted(_ address: String) throws -> Bool {
            let (verdict, ticket) = admission.connectionOpened(from: try SocketAddress(ipAddress: address, port: 1))
            tickets.append(ticket)
            ticket.identified()
            guard verdict != .admitted else { return true }
            #expect(verdict == .refused)
            ticket.drop()
            return false
        }
        for place in 1...addresses {
            var count = 0
            while try admitted("192.0.2.\(place)") { count += 1 }
            #expect(count == 800 >> place || count == (800 >> place) + 1)
        }
        #expect(try admitted("198.51.100.1"))
        for ticket in tickets.prefix(400) { ticket.drop() }
        #expect(try admitted("192.0.2.1"))
    }

    @Test func anAddressThatABalancerNamesHasNoMoreThanIsFreeEither() throws {
        let admission = Admission(descriptorLimit: 100)
        let client = try SocketAddress(ipAddress: "192.0.2.1", port: 1)
        let tickets = (0..<60).map { _ in admission.connectionOpened(from: nil).1 }
        let belonging = tickets.prefix { ticket in
            defer { ticket.identified() }
            return ticket.belongs(to: client)
        }
        #expect(belonging.count == 21)
        for ticket in tickets { ticket.drop() }
        #expect(admission.connections == 0)
        #expect(admission.connectionOpened(from: client).0 == .admitted)
    }

    @Test func oneNetworkOfIPv6IsOneAddress() throws {
        let admission = Admission(descriptorLimit: 10_000, unauthenticatedPerAddress: 2)
        func verdict(_ address: String) throws -> Admission.Verdict {
            admission.connectionOpened(from: try SocketAddress(ipAddress: address, port: 1)).0
        }
        #expect(try verdict("2001:db8::1") == .admitted)
        #expect(try verdict("2001:db8::2") == .admitted)
        #expect(try verdict("2001:db8:0:0:ffff::3") == .closed)
        #expect(try verdict("2001:db8:0:1::1") == .admitted)
        // IPv4 on a socket for both is IPv4.
        for number in 1...3 { #expect(try verdict("::ffff:192.0.2.\(number)") == .admitted) }
    }

    @Test func unauthenticatedConnectionsBehindABalancerAreCountedByTheirOwnAddress() throws {
        let admission = Admission(descriptorLimit: 10_000, unauthenticatedPerAddress: 2)
        let client = try SocketAddress(ipAddress: "192.0.2.1", port: 1)
        let other = try SocketAddress(ipAddress: "192.0.2.2", port: 1)
        let local = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        let tickets = (0..<8).map { _ in admission.connectionOpened(from: nil).1 }
        #expect(tickets[0].client == nil)
        #expect(tickets[0].belongs(to: client))
        #expect(tickets[0].client == "192.0.2.1")
        #expect(tickets[1].belongs(to: client))
        #expect(!tickets[2].belongs(to: client))
        #expect(tickets[3].belongs(to: other))
        tickets[2].drop()
        #expect(!tickets[4].belongs(to: client))
        tickets[4].drop()
        tickets[0].identified()
        #expect(tickets[5].belongs(to: client))
        #expect(tickets[6].belongs(to: local) && tickets[7].belongs(to: local))
        // One connection is one stranger, and none once it has shown a token.
        #expect(tickets[3].belongs(to: other) && tickets[0].belongs(to: client))
        for index in [0, 1, 3, 5, 6, 7] { tickets[index].drop() }
        #expect(admission.connections == 0)
    }

    @Test func aTicketLastsAsLongAsAnyChannelHoldsIt() throws {
        let admission = Admission(descriptorLimit: 1000)
        let (_, ticket) = admission.connectionOpened(from: nil)
        ticket.hold()
        ticket.drop()
        #expect(admission.connections == 1)
        ticket.drop()
        #expect(admission.connections == 0)
    }
}
