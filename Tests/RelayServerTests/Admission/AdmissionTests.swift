// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing

@testable import RelayServer

@Suite struct AdmissionTests {
    @Test func refusesBeforeItClosesAndForgetsWhoLeft() throws {
        let admission = Admission(descriptorLimit: 1000)
        let local = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        var tickets: [ConnectionTicket] = []
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

    @Test func boundsStrangersOfOneAddressOnly() throws {
        let admission = Admission(descriptorLimit: 10_000, unidentifiedPerAddress: 2)
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
