// SPDX-License-Identifier: Apache-2.0

import NIOCore
import Testing
import WSProtocol

@testable import TransferClient

@Suite struct OpeningMachineTests {
    private let begin = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private let home = "https://relay.example.com/p/upload"
    private let node = "https://node2.example.com:8443/upload"

    private func machine(_ address: String, expires: Int = 60) -> OpeningMachine<String> {
        OpeningMachine(address, home: home, expires: expires, now: begin)
    }

    private static func connection(isTemporary: Bool) -> StreamError {
        .connection(ConnectionError(.tcp, "x", advice: "y", status: .unreachable, isTemporary: isTemporary))
    }

    private enum Location: CaseIterable {
        case atNode
        case atHome
        case atHomeAgain
        case over
    }

    /// What kind of failure it was, as far as the machine tells them apart.
    private enum Failure: CaseIterable {
        case passing
        case lasting
        case busy
        case tokenGone
        case refused
        case cut
        case silent
        case badAddress

        var error: StreamError {
            switch self {
            case .passing: OpeningMachineTests.connection(isTemporary: true)
            case .lasting: OpeningMachineTests.connection(isTemporary: false)
            case .busy: .refused(HTTPResponse(status: 503, code: .unavailable))
            case .tokenGone: .refused(HTTPResponse(status: 403))
            case .refused: .refused(HTTPResponse(status: 502, code: .receiverGone))
            case .cut: .cut
            case .silent: .silent
            case .badAddress: .badAddress
            }
        }
    }

    private static let before = StreamError.refused(HTTPResponse(status: 503, code: .draining))

    private func machine(_ place: Location) -> OpeningMachine<String> {
        var generator = Constant()
        var machine = machine(place == .atNode ? node : home)
        switch place {
        case .atNode, .atHome: break
        case .atHomeAgain: _ = machine.failed(Self.before, now: begin, using: &generator)
        case .over: _ = machine.failed(.cut, now: begin, using: &generator)
        }
        return machine
    }

    /// Where it asks next, and whether at once; nil when it fails.
    private func expected(_ place: Location, _ failure: Failure) -> (attempt: Int, isAtOnce: Bool)? {
        switch (place, failure) {
        case (.over, _), (_, .refused), (_, .cut), (_, .silent), (_, .badAddress), (_, .tokenGone): nil
        case (.atNode, .passing), (.atNode, .lasting): (1, true)
        case (.atHome, .lasting), (.atHomeAgain, .lasting): nil
        case (.atNode, .busy), (.atHome, .passing), (.atHome, .busy): (1, false)
        case (.atHomeAgain, .passing), (.atHomeAgain, .busy): (2, false)
        }
    }

    @Test func everyStateAndEvent() {
        for place in Location.allCases {
            for failure in Failure.allCases {
                for isLate in [false, true] {
                    var generator = Constant()
                    var machine = machine(place)
                    let now = begin + .seconds(isLate ? 55 : 0)
                    let action = machine.failed(failure.error, now: now, using: &generator)
                    // What is asked at once needs no time; what needs a pause has none left behind the token's end.
                    guard let next = expected(place, failure), next.isAtOnce || !isLate else {
                        let reason = place == .atHomeAgain && failure == .tokenGone ? Self.before : failure.error
                        #expect(action == .fail(reason), "\(place), \(failure), late: \(isLate)")
                        continue
                    }
                    guard case .ask(home, after: let pause, attempt: next.attempt) = action else {
                        Issue.record("\(action) at \(place), \(failure), late: \(isLate)")
                        continue
                    }
                    #expect((pause == .zero) == next.isAtOnce, "\(place), \(failure)")
                }
            }
        }
    }

    /// What is asked again, with the reason, and the pause in milliseconds when it is at the relay's own address.
    @Test(
        arguments: [
            (connection(isTemporary: true), Int64(200)),
            (.refused(HTTPResponse(status: 503, code: .draining)), 200),
            (.refused(HTTPResponse(status: 503, code: .clusterUnavailable, retryAfter: .seconds(1))), 1_000),
            (.refused(HTTPResponse(status: 503, code: .unavailable, retryAfter: .hours(1))), 5_000),
            (.refused(HTTPResponse(status: 503)), 200),
            (.refused(HTTPResponse(status: 502)), 200),
        ] as [(StreamError, Int64)])
    func asksAgainWhereTheTokenIsStillGood(_ error: StreamError, _ milliseconds: Int64) {
        var generator = Constant()
        var machine = machine(home)
        let action = machine.failed(error, now: begin, using: &generator)
        #expect(action == .ask(home, after: .milliseconds(milliseconds), attempt: 1))
    }

    @Test(
        arguments: [
            connection(isTemporary: false), .refused(HTTPResponse(status: 403)),
            .refused(HTTPResponse(status: 502, code: .receiverGone)),
            .refused(HTTPResponse(status: 503, code: .declined)),
            .refused(HTTPResponse(status: 504, code: .expired)), .refused(HTTPResponse(status: 400)), .cut, .silent,
            .badAddress,
        ] as [StreamError])
    func failsWhereItIsNot(_ error: StreamError) {
        var generator = Constant()
        var machine = machine(home)
        #expect(machine.failed(error, now: begin, using: &generator) == .fail(error))
        // It is over, whatever comes.
        let later = Self.connection(isTemporary: true)
        #expect(machine.failed(later, now: begin, using: &generator) == .fail(later))
    }

    @Test func aNodeThatCannotBeReachedIsLeftForTheRelaysOwnAddressAtOnce() {
        for isTemporary in [true, false] {
            var generator = Constant()
            var machine = machine(node)
            let error = Self.connection(isTemporary: isTemporary)
            #expect(machine.failed(error, now: begin, using: &generator) == .ask(home, after: .zero, attempt: 1))
            let second = machine.failed(error, now: begin, using: &generator)
            #expect(second == (isTemporary ? .ask(home, after: .milliseconds(200), attempt: 2) : .fail(error)))
        }
    }

    @Test func aNodeThatIsBusyIsLeftToo() {
        var generator = Constant()
        var machine = machine(node)
        let busy = StreamError.refused(HTTPResponse(status: 503, code: .draining))
        #expect(
            machine.failed(busy, now: begin, using: &generator) == .ask(home, after: .milliseconds(200), attempt: 1))
    }

    @Test func aRequestThatWasSentIsNotRepeated() {
        var generator = Constant()
        var machine = machine(node)
        #expect(machine.failed(.cut, now: begin, using: &generator) == .fail(.cut))
    }

    @Test func aTokenThatIsGoneMeanwhileFailsWithTheReasonBefore() {
        var generator = Constant()
        var machine = machine(home)
        let busy = StreamError.refused(HTTPResponse(status: 503, code: .draining))
        _ = machine.failed(busy, now: begin, using: &generator)
        #expect(machine.failed(.refused(HTTPResponse(status: 403)), now: begin, using: &generator) == .fail(busy))
    }

    /// The last moment in which it is asked again, in seconds; nil asks only once.
    @Test(
        arguments: [
            (60, 54), (30, 24), (6, 0), (5, nil), (0, nil), (-1, nil), (.min, nil), (3_600, 3_594), (.max, 3_594),
        ]
            as [(Int, Int64?)])
    func nothingIsAskedAfterTheTokenExpires(_ expires: Int, _ last: Int64?) {
        var generator = Constant()
        let busy = StreamError.refused(HTTPResponse(status: 503, code: .draining))
        if let last {
            var machine = machine(home, expires: expires)
            let action = machine.failed(busy, now: begin + .seconds(last), using: &generator)
            #expect(action == .ask(home, after: .milliseconds(200), attempt: 1))
        }
        var machine = machine(home, expires: expires)
        #expect(machine.failed(busy, now: begin + .seconds((last ?? -1) + 1), using: &generator) == .fail(busy))
    }
}
