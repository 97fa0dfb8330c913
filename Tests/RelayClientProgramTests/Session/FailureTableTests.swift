// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Sealing
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import TransferClient

/// Walks the table of failures of docs/wire-protocol.md, section 3.1, row by row, for a sender and for a receiver: it
/// has no rows of its own.
@Suite(.timeLimit(.minutes(5))) struct FailureTableTests {
    /// What goes wrong in the middle of a transfer.
    enum Cause: Hashable, Sendable, CustomStringConvertible {
        /// The control connection ends, with this close code or with none.
        case closed(UInt16?)
        /// It ends, and the next one does not come about for this reason.
        case noConnection(ConnectionError)
        /// The relay ends the transfer, or refuses what it was asked for it.
        case relay(FailureCode)
        /// The other client ends it.
        case peer(FailureCode)
        /// The own stream breaks.
        case stream(StreamError)

        var description: String {
            switch self {
            case .closed(let code): "closed \(code.map { "\($0)" } ?? "without a word")"
            case .noConnection(let error): "no connection: \(error.summary)"
            case .relay(let code): "\(code.rawValue) from the relay"
            case .peer(let code): "\(code.rawValue) from the other client"
            case .stream(let error): "\(error)"
            }
        }
    }

    /// What a row says is done about it.
    enum Verdict: Hashable, Sendable {
        case tryAgain
        case tryAgainElsewhere
        case tryAgainLater
        case tryAgainHere
        /// For a sender as ``tryAgainHere``, for a receiver as ``final``.
        case tryAfresh
        /// For a sender as ``final``.
        case comesAnew
        case final

        init?(_ cell: String) {
            if cell.hasPrefix("try again on a new connection") {
                self = .tryAgainElsewhere
            } else if cell.hasPrefix("try again after 5 s") {
                self = .tryAgainLater
            } else if cell.hasPrefix("try again") {
                self = .tryAgain
            } else if cell.hasPrefix("the sender tries again, on the connection that it has") {
                self = .tryAgainHere
            } else if cell.hasPrefix("the sender looks the receiver up again") {
                self = .tryAfresh
            } else if cell.hasPrefix("final for this transfer; a receiver waits") {
                self = .comesAnew
            } else if cell == "final" {
                self = .final
            } else {
                return nil
            }
        }
    }

    private let files: SentFiles

    init() throws { files = try SentFiles() }

    private static func relay() throws -> RelayURL { try RelayURL("https://relay.example.com") }

    /// What the first cell of a row is about.
    private static func causes(_ cell: String, known: Set<FailureCode>) throws -> [Cause] {
        let codes = cell.split(separator: "`").compactMap { FailureCode(rawValue: String($0)) }
        var causes: [Cause] = []
        if cell.contains("connection was lost") { causes.append(.closed(nil)) }
        if cell.contains("closed with") {
            let words = cell.split { !$0.isNumber }
            causes += words.compactMap { UInt16($0) }.filter { $0 >= 1_000 }.map { .closed($0) }
        }
        if cell.contains("cannot be made") {
            let error = ConnectionError(
                .tcp, "cannot connect", advice: "look", status: .unreachable, isTemporary: true
            )
            causes.append(.noConnection(error))
        }
        if cell.contains("5xx") {
            for status in [500, 502, 503, 504] {
                let answer = HTTPResponse(status: status)
                causes.append(.noConnection(ConnectionError(upgradeRefused: answer, relay: try relay())))
            }
        }
        for code in codes {
            let refusal = ConnectionError(refused: code, name: Samples.alice, relay: try relay())
            causes.append(
                code.isSaidByPeers ? .peer(code) : code == .tooManySessions ? .noConnection(refusal) : .relay(code))
        }
        if cell.contains("stream was cut") { causes.append(.stream(.cut)) }
        if cell.contains("no answer") { causes.append(.stream(.silent)) }
        if cell.contains("an answer without a code") {
            // Of balancers, proxies and portals.
            causes += [302, 404, 413, 429, 500, 502, 503, 504, 507, 511, 522].map {
                .stream(.refused(HTTPResponse(status: $0)))
            }
        }
        if cell.contains("`403`") { causes.append(.stream(.refused(HTTPResponse(status: 403)))) }
        if cell.contains("`decline`") {
            causes += FailureCode.allCases.filter { $0.isClients && !known.contains($0) }.map { .peer($0) }
        }
        if cell.contains("certificate") {
            causes.append(
                .noConnection(ConnectionError(.certificate, "not trusted", advice: "look", status: .refused)))
        }
        if cell.contains("login that is refused") {
            let refused: [FailureCode] = [.loginRefused, .nameTaken, .badInvitation, .registrationClosed]
            for code in refused {
                let error = ConnectionError(refused: code, name: Samples.alice, relay: try relay())
                causes.append(.noConnection(error))
            }
        }
        if cell.contains("any other code") {
            causes += FailureCode.allCases.filter { !known.contains($0) && !$0.isClients }.map { .relay($0) }
        }
        return causes
    }

    private static func rows() throws -> [(cell: String, causes: [Cause], verdict: Verdict)] {
        let table = try WireDocument().table("what happened")
        let known = Set(table.flatMap { $0[0].split(separator: "`").compactMap { FailureCode(rawValue: String($0)) } })
        return try table.map { row in
            (row[0], try causes(row[0], known: known), try #require(Verdict(row[1]), "\(row[1])"))
        }
    }

    @Test func everyRowIsUnderstood() throws {
        let rows = try Self.rows()
        #expect(rows.count >= 7)
        for row in rows { #expect(!row.causes.isEmpty, "\(row.cell)") }
        // Every code has its row, and every row that is not about codes is known.
        let causes = Set(rows.flatMap(\.causes))
        for code in FailureCode.allCases where code != .tooManySessions {
            #expect(causes.contains(code.isSaidByPeers ? .peer(code) : .relay(code)), "\(code)")
        }
        for code in [nil, 1001, 1008, 1011, 4408] as [UInt16?] { #expect(causes.contains(.closed(code))) }
        #expect(causes.contains(.stream(.cut)) && causes.contains(.stream(.silent)))
    }

    // MARK: - The sender

    /// A sender whose first offer was accepted, and whose upload breaks only for `cause`.
    private func sending(_ cause: Cause, isRefused: Bool) throws -> SessionFixture {
        let relay = FakeRelay { offered in
            guard offered.number == 1 else { return FakeRelay.acceptance(of: offered) }
            if isRefused, case .relay(let code) = cause {
                return [.error(.init(id: offered.id, code: code, message: ""))]
            }
            let accepted = FakeRelay.acceptance(of: offered)
            switch cause {
            case .closed, .noConnection: return accepted.dropLast()
            case .relay(let code):
                return accepted.dropLast() + [offered.failed(code, by: .relay)]
            case .peer(let code):
                return accepted.dropLast() + [offered.failed(code, by: .peer)]
            case .stream: return accepted
            }
        } uploadEnd: { number in
            if number == 1, case .stream(let error) = cause { error } else { nil }
        }
        let job = SendJob(peer: Samples.bob, tree: try files.tree())
        return try SessionFixture(relay) { environment, queue in
            [Sender([job], waits: true, patience: .minutes(10), environment: environment, queue: queue)]
        }
    }

    private func lose(_ line: FakeLine?, _ cause: Cause) throws {
        let relay = try Self.relay()
        switch cause {
        case .closed(let code):
            let reason: WebSocketClosing = code == nil ? .lost : .peer("")
            line?.lose(ConnectionError(closed: code, reason: reason, relay: relay))
        case .noConnection: line?.lose(ConnectionError(closed: nil, reason: .lost, relay: relay))
        case .relay, .peer, .stream: break
        }
    }

    private func walkAsSender(_ cause: Cause, _ verdict: Verdict, isRefused: Bool) async throws {
        let verdict = verdict == .comesAnew ? .final : verdict
        let sending = try sending(cause, isRefused: isRefused)
        let (relay, start) = (sending.relay, sending.clock.now())
        await sending.run { relay.offers.count == 1 }
        if case .noConnection(let error) = cause { relay.refuse(error) }
        try lose(relay.lines.first, cause)
        if case .stream = cause {
            // What the relay says about a stream that broke is waited for.
            try await sending.run { try sending.events("ringing").count == 1 }
            await sending.run { sending.session.deadline == start + TransferDefaults.explanationTimeout }
            sending.passTime()
        }
        await sending.runToEnd()
        try #require(!Task.isCancelled, "\(cause), refused: \(isRefused): nothing comes of it")
        guard verdict != .final else {
            #expect(sending.endings != [.status(.done)] && relay.offers.count == 1, "\(cause)")
            return
        }
        #expect(sending.endings == [.status(.done)], "\(cause)")
        let offers = relay.offers
        try #require(offers.count == 2, "\(cause)")
        let carried = try #require(offers[0].opened, "\(cause)").transfer
        #expect(offers[1].opened?.transfer == carried && offers[1].name == offers[0].name, "\(cause)")
        #expect(offers[0].transfer != offers[1].transfer, "\(cause)")
        let isElsewhere = offers[1].line.number > offers[0].line.number
        switch verdict {
        case .tryAgain:
            guard case .stream(let error) = cause else { return #expect(isElsewhere, "\(cause)") }
            #expect(relay.cancels.map(\.code) == [.senderGone], "\(cause)")
            // Only a token that was refused is known to have reached the relay.
            let isRelays = if case .refused(let answer) = error { answer.status == 403 } else { false }
            #expect(isElsewhere != isRelays, "\(cause)")
        case .tryAgainElsewhere: #expect(isElsewhere, "\(cause)")
        case .tryAgainHere, .tryAfresh:
            #expect(!isElsewhere && offers[1].offer.wait, "\(cause)")
            #expect(relay.lookups.count == (verdict == .tryAfresh ? 2 : 1), "\(cause)")
        case .tryAgainLater:
            let waited = (relay.pauses.compactMap { $0 } + [sending.clock.now() - start]).max() ?? .zero
            #expect(waited >= .seconds(5), "\(cause)")
        case .comesAnew, .final: break
        }
    }

    @Test func aSenderDoesWhatTheTableSays() async throws {
        for row in try Self.rows() {
            for cause in row.causes {
                try await walkAsSender(cause, row.verdict, isRefused: false)
                // What the relay may say at once, it may say to the offer.
                if case .relay = cause { try await walkAsSender(cause, row.verdict, isRefused: true) }
            }
        }
    }

    // MARK: - The receiver

    private func walkAsReceiver(_ cause: Cause, _ verdict: Verdict, isRefused: Bool) async throws {
        let verdict = verdict == .tryAfresh ? .final : verdict
        let receiving = try ReceivingFixture(isOnce: true)
        let (session, relay) = (receiving.session, receiving.relay)
        await receiving.present()
        let first = try receiving.ring()
        var isElsewhere = false
        if isRefused, case .relay(let code) = cause {
            let id = try await receiving.acceptance(of: first)
            relay.lines[0].say([.error(.init(id: id, code: code, message: ""))])
            isElsewhere = verdict == .tryAgainElsewhere
        } else {
            try await receiving.start(first)
            switch cause {
            case .closed, .noConnection:
                if case .noConnection(let error) = cause { relay.refuse(error) }
                try lose(relay.lines.first, cause)
                isElsewhere = true
            case .relay(let code):
                relay.lines[0].say([.failed(.init(id: id, transfer: first, code: code, by: .relay))])
            case .peer(let code):
                relay.lines[0].say([.failed(.init(id: id, transfer: first, code: code, by: .peer))])
            case .stream(let error): relay.downloads[0].end(.failure(.stream(error)))
            }
        }
        if case .stream = cause {
            // What the relay says about a stream that broke is waited for.
            await session.run { session.isDue }
            session.passTime()
            #expect(relay.cancels.map(\.code) == [.receiverGone], "\(cause)")
        }
        try await session.run {
            try session.session.isOver || !session.events("interrupted", "restarted", "failed").isEmpty
        }
        if case .noConnection = cause { await session.run { session.session.isOver || relay.pauses.count == 3 } }
        try #require(!Task.isCancelled, "\(cause), refused: \(isRefused): nothing comes of it")
        #expect(session.session.isOver == (verdict == .final), "\(cause)")
        guard verdict != .final else { return }
        let comesAnew = verdict == .comesAnew
        let told = try session.events("interrupted", "restarted", "failed")
        #expect(told == [comesAnew ? "restarted" : "interrupted"], "\(cause)")
        // The same offer comes again, and the user is not asked about it again.
        if isElsewhere { await receiving.present(2) }
        #expect(relay.lines.count == (isElsewhere ? 2 : 1), "\(cause)")
        _ = try await receiving.acceptance(of: try receiving.ring(isKnown: !comesAnew))
        #expect(receiving.asked.labels.count == 1, "\(cause)")
    }

    private let id = RequestID.sequence(.relay, 9)

    @Test func aReceiverDoesWhatTheTableSays() async throws {
        for row in try Self.rows() {
            for cause in row.causes {
                try await walkAsReceiver(cause, row.verdict, isRefused: false)
                // What the relay may say at once, it may say to the acceptance.
                if case .relay = cause { try await walkAsReceiver(cause, row.verdict, isRefused: true) }
            }
        }
    }
}

extension FailureCode {
    /// Whether a peer says it of a transfer: of the two who may have too many requests, that is the relay.
    fileprivate var isSaidByPeers: Bool { isClients && self != .tooManyRequests }
}
