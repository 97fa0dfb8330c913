// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import TestSupport
import Testing
import WSProtocol

@testable import RelayClient

@Suite(.timeLimit(.minutes(1))) struct SendSessionTests {
    typealias Offered = FakeNetwork.Offered

    private let peer: PeerName
    private let folder: TemporaryDirectory
    /// Where the reports go.
    private let reports: OpenFile

    init() throws {
        peer = try #require(PeerName(rawValue: "bob"))
        folder = try TemporaryDirectory()
        reports = try OpenFile(folder.file("reports"), flags: O_CREAT | O_RDWR, mode: 0o600)
    }

    private func jobs(_ count: Int, size: UInt64 = 3, change: FileError? = nil) -> [SendJob] {
        (1...count).map { SendJob(peer: peer, source: MemorySource(name: "file\($0)", size: size, change: change)) }
    }

    private func network(
        together: Int = 1, answer: @escaping @Sendable (Offered) -> [ServerMessage] = FakeNetwork.acceptance
    ) throws -> FakeNetwork {
        try FakeNetwork(reports: reports.descriptor, together: together, answer: answer)
    }

    private func send(
        _ jobs: [SendJob], over network: FakeNetwork, patience: TimeAmount = .minutes(10), waits: Bool = true
    ) async -> RelayClient.ExitStatus {
        var session = SendSession(SendOrder(jobs, waits: waits), network: network, patience: patience)
        return await session.run()
    }

    /// The names of the events that were reported, of those in `names`.
    private func events(_ names: String...) throws -> [String] {
        var text = [UInt8](repeating: 0, count: 1 << 20)
        let count = try SystemCall.check { unsafe pread(reports.descriptor, &text, text.count, 0) }
        return String(decoding: text.prefix(count), as: UTF8.self).split(separator: "\n").compactMap { line in
            names.first { line.contains("\"event\":\"\($0)\"") }
        }
    }

    @Test func smallContentsGoSeveralAtATimeOverOneConnection() async throws {
        // The first shows that nobody is asked; each of the others waits until as many as may are on their way.
        let network = try network(together: Defaults.parallelSends)
        #expect(await send(jobs(1 + 3 * Defaults.parallelSends), over: network) == .done)
        #expect(network.mostRunning == Defaults.parallelSends && network.lines.count == 1)
        #expect(network.offers.map { $0.manifest?.name } == (1...49).map { "file\($0)" })
        #expect(try events("delivered", "failed", "notice").count(where: { $0 == "delivered" }) == 49)
        #expect(try events("failed", "notice", "reconnecting").isEmpty && network.cancels.isEmpty)
    }

    @Test func largeContentsGoOneAfterTheOther() async throws {
        let network = try network()
        #expect(await send(jobs(5, size: Defaults.parallelSendBytes + 1), over: network) == .done)
        #expect(network.mostRunning == 1 && network.offers.count == 5)
    }

    @Test func aReceiverThatIsGoneIsOfferedTheSameAgainOnTheSameConnection() async throws {
        let network = try network { offered in
            guard offered.number == 1 else { return FakeNetwork.acceptance(of: offered) }
            let (id, transfer) = (offered.offer.id, offered.offer.transfer)
            return FakeNetwork.acceptance(of: offered).dropLast() + [
                .failed(.init(id: id, transfer: transfer, code: .receiverGone, by: .relay))
            ]
        }
        #expect(await send(jobs(1), over: network, waits: false) == .done)
        let offers = network.offers
        #expect(offers.count == 2 && network.lines.count == 1 && network.cancels.isEmpty)
        #expect(
            offers[0].offer.transfer != offers[1].offer.transfer && offers[0].offer.payload == offers[1].offer.payload)
        // --no-wait is about the first contact only.
        #expect(!offers[0].offer.wait && offers[1].offer.wait)
        #expect(try events("interrupted", "reconnecting", "delivered") == ["interrupted", "delivered"])
    }

    @Test func whatTheReceiverSaidIsFinalForItsContentAlone() async throws {
        let network = try network { offered in
            guard offered.manifest?.name == "file2" else { return FakeNetwork.acceptance(of: offered) }
            let (id, transfer) = (offered.offer.id, offered.offer.transfer)
            return [.failed(.init(id: id, transfer: transfer, code: .noSpace, by: .peer))]
        }
        #expect(await send(jobs(3), over: network) == .inputOutput)
        #expect(network.offers.count == 3)
        #expect(try events("delivered", "failed").count(where: { $0 == "failed" }) == 1)
    }

    @Test func aLostConnectionCostsNoneOfWhatIsOnItsWay() async throws {
        let relay = try RelayURL("https://relay.example.com")
        let network = try network { offered in
            if offered.line.number == 1, offered.number == 9 {
                offered.line.lose(ConnectionError(closed: nil, reason: .lost, relay: relay))
            }
            let waits = offered.line.number == 1 && offered.number > 1
            return waits ? [] : FakeNetwork.acceptance(of: offered)
        }
        #expect(await send(jobs(9), over: network) == .done)
        #expect(network.lines.count == 2 && network.cancels.isEmpty)
        let names = network.offers.compactMap { $0.manifest?.name }
        for number in 2...9 { #expect(names.count(where: { $0 == "file\(number)" }) == 2, "\(number)") }
        #expect(try events("delivered", "failed") == [String](repeating: "delivered", count: 9))
        #expect(try events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    @Test func aRelayThatIsAboutToStopIsLeftOnceNothingIsUnderWay() async throws {
        let network = try network { offered in
            guard offered.line.number == 1, offered.number > 1 else { return FakeNetwork.acceptance(of: offered) }
            return [.error(.init(id: offered.offer.id, code: .draining, message: ""))]
        }
        #expect(await send(jobs(4), over: network) == .done)
        #expect(network.lines.count == 2)
        #expect(try events("reconnecting", "reconnected") == ["reconnecting", "reconnected"])
    }

    @Test func theEndOfTheTimeIsToldToTheReceiver() async throws {
        let network = try network { offered in
            [.offered(.init(id: offered.offer.id, transfer: offered.offer.transfer, state: .ringing))]
        }
        #expect(await send(jobs(1), over: network, patience: .seconds(2)) == .gaveUp)
        #expect(network.cancels.map(\.code) == [.timedOut])
        #expect(network.cancels.map(\.transfer) == network.offers.map(\.offer.transfer))
    }

    @Test func anInterruptIsToldToAllWhoWereOffered() async throws {
        let network = try network { offered in
            guard offered.number > 1 else { return FakeNetwork.acceptance(of: offered) }
            if offered.number == 5 { Task { [interruption = offered.line.interruption] in interruption.interrupt() } }
            return [.offered(.init(id: offered.offer.id, transfer: offered.offer.transfer, state: .ringing))]
        }
        #expect(await send(jobs(5), over: network) == .interrupted)
        // The first may be on its way yet.
        #expect(Set(network.cancels.map(\.transfer)).isSuperset(of: network.offers.dropFirst().map(\.offer.transfer)))
        #expect(network.offers.count == 5 && network.cancels.allSatisfy { $0.code == .cancelled })
    }

    @Test func aReceiverThatWaitsForTheNextTryHearsThatThereIsNone() async throws {
        let changed = FileError(code: .changed, message: "\"file1\" was changed")
        let network = try network { offered in
            guard offered.number == 1 else { return [] }
            let (id, transfer) = (offered.offer.id, offered.offer.transfer)
            return FakeNetwork.acceptance(of: offered).dropLast() + [
                .failed(.init(id: id, transfer: transfer, code: .senderGone, by: .relay))
            ]
        }
        #expect(await send(jobs(1, change: changed), over: network) == .inputOutput)
        // The same content, offered and taken back at once.
        #expect(network.offers.count == 2 && network.offers[0].offer.payload == network.offers[1].offer.payload)
        #expect(network.cancels.map(\.code) == [.sourceChanged])
        #expect(network.cancels.map(\.transfer) == [network.offers[1].offer.transfer])
    }
}
