// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import TLSTransport

@Suite struct TLSStateMachineTests {
    typealias State = TLSStateMachine.State

    /// One event of the machine: its name, and what it does, as a comparable text.
    private static let events: [(name: String, apply: @Sendable (inout TLSStateMachine) -> String)] = [
        ("active", { "\($0.channelBecameActive())" }),
        ("handshake", { "\($0.handshakeCompleted())" }),
        ("ciphertext", { "\($0.ciphertextReceived())" }),
        ("closeNotify", { "\($0.closeNotifyReceived())" }),
        ("end", { "\($0.inputEnded())" }),
        (
            "inactive",
            {
                $0.channelBecameInactive()
                return "-"
            }
        ),
        ("write", { "\($0.plaintextWritten())" }),
        ("close", { "\($0.closeRequested())" }),
        ("closeOutput", { "\($0.closeOutputRequested())" }),
        ("flushed", { "\($0.flushFinished())" }),
        (
            "abort",
            {
                $0.abortRequested()
                return "-"
            }
        ),
        ("failed", { "\($0.failed())" }),
        ("timeout", { "\($0.handshakeTimedOut())" }),
        (
            "handOver",
            { machine in
                switch machine.handOverRequested() {
                case .give(let state): "give \(state)"
                case .refuse: "refuse"
                }
            }
        ),
    ]

    private static let goodbye = "closeAfterFlush(sendingCloseNotify: true)"
    private static let flushOnly = "closeAfterFlush(sendingCloseNotify: false)"

    /// For each state, what each event answers and leads to, in the order of `events`. A dash means no change.
    private static let table: [State: [(String, State?)]] = [
        .idle: [
            ("handshake", .handshaking), ("ignore", nil), ("discard", nil), ("ignore", nil), ("ignore", nil),
            ("-", .closed), ("hold", nil), ("closeChannel", .closed), ("refuse", nil), ("ignore", nil),
            ("-", .closed), ("reportAndClose", .closed), ("reportAndClose", .closed), ("refuse", nil),
        ],
        .handshaking: [
            ("ignore", nil), ("announce", .open), ("handshake", nil), ("ignore", nil), ("failHandshake", nil),
            ("-", .closed), ("hold", nil), ("closeChannel", .closed), ("refuse", nil), ("ignore", nil),
            ("-", .closed), ("reportAndClose", .closed), ("reportAndClose", .closed), ("refuse", nil),
        ],
        .open: [
            ("ignore", nil), ("ignore", nil), ("decrypt", nil), ("announce", .inputEnded),
            ("announceTruncation", .inputEnded), ("-", .closed), ("encrypt", nil), (goodbye, .closing),
            ("sendCloseNotify", .outputEnded), ("ignore", nil), ("-", .closed), ("reportAndClose", .closed),
            ("ignore", nil), ("give open", .handedOver),
        ],
        .inputEnded: [
            ("ignore", nil), ("ignore", nil), ("discard", nil), ("ignore", nil), ("ignore", nil),
            ("-", .closed), ("encrypt", nil), (goodbye, .closing), ("sendCloseNotify", .bothEnded), ("ignore", nil),
            ("-", .closed), ("reportAndClose", .closed), ("ignore", nil), ("give inputEnded", .handedOver),
        ],
        .outputEnded: [
            ("ignore", nil), ("ignore", nil), ("decrypt", nil), ("announce", .bothEnded),
            ("announceTruncation", .bothEnded), ("-", .closed), ("refuse", nil), (flushOnly, .closing),
            ("refuse", nil), ("ignore", nil), ("-", .closed), ("reportAndClose", .closed), ("ignore", nil),
            ("give outputEnded", .handedOver),
        ],
        .bothEnded: [
            ("ignore", nil), ("ignore", nil), ("discard", nil), ("ignore", nil), ("ignore", nil),
            ("-", .closed), ("refuse", nil), (flushOnly, .closing), ("refuse", nil), ("ignore", nil),
            ("-", .closed), ("reportAndClose", .closed), ("ignore", nil), ("give bothEnded", .handedOver),
        ],
        .closing: [
            ("ignore", nil), ("ignore", nil), ("discard", nil), ("ignore", nil), ("ignore", nil),
            ("-", .closed), ("refuse", nil), ("wait", nil), ("refuse", nil), ("closeChannel", .closed),
            ("-", .closed), ("ignore", nil), ("ignore", nil), ("refuse", nil),
        ],
        .closed: [
            ("ignore", nil), ("ignore", nil), ("discard", nil), ("ignore", nil), ("ignore", nil),
            ("-", nil), ("refuse", nil), ("closeChannel", nil), ("refuse", nil), ("ignore", nil),
            ("-", nil), ("ignore", nil), ("ignore", nil), ("refuse", nil),
        ],
        .handedOver: [
            ("ignore", nil), ("ignore", nil), ("passOn", nil), ("ignore", nil), ("ignore", nil),
            ("-", nil), ("refuse", nil), ("closeChannel", nil), ("passOn", nil), ("ignore", nil),
            ("-", nil), ("ignore", nil), ("ignore", nil), ("refuse", nil),
        ],
    ]

    @Test func everyCellOfTheTableHolds() throws {
        for state in State.allCases {
            let row = try #require(Self.table[state])
            #expect(row.count == Self.events.count)
            for (event, expected) in zip(Self.events, row) {
                var machine = TLSStateMachine(state)
                let answer = event.apply(&machine)
                #expect(answer == expected.0, "\(state) × \(event.name)")
                #expect(machine.state == expected.1 ?? state, "\(state) × \(event.name)")
            }
        }
    }

    @Test func whateverHappensTheEndComesOnce() {
        // Each event after each other two, from the beginning: a failure is never reported twice.
        for first in Self.events.indices {
            for second in Self.events.indices {
                for third in Self.events.indices {
                    var machine = TLSStateMachine()
                    let answers = [first, second, third].map { Self.events[$0].apply(&machine) }
                    #expect(answers.count { $0 == "reportAndClose" } <= 1)
                    #expect(answers.count { $0 == Self.goodbye } <= 1)
                }
            }
        }
    }
}
