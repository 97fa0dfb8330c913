// SPDX-License-Identifier: Apache-2.0

import TransferClient

/// The order of things in one upload (RFC 9110, sections 9.3.4 and 10.1.1): head, `100 Continue`, body, answer, where
/// the answer may come at any time.
struct UploadExchange: Sendable {
    private var state = State.awaitingContinue
    /// Bytes of the body that are still to be written, where its length was announced.
    private var remaining: UInt64?

    /// - Parameter length: the Content-Length in bytes; nil for a chunked body.
    init(length: UInt64?) {
        remaining = length
    }

    private enum State: Hashable, Sendable {
        case awaitingContinue
        case sending
        /// The body is complete.
        case sent
        case over(Outcome)
    }

    /// How an upload ended.
    enum Outcome: Hashable, Sendable {
        /// The relay handed this many bytes on; nil when it did not say.
        case accepted(bytes: UInt64?)
        /// The relay answered something else, perhaps while bytes were still flowing.
        case refused(HTTPAnswer)
        /// The connection ended without an answer.
        case cut
        /// Nothing was heard for too long.
        case silent
    }

    /// What `100 Continue`, or waiting long enough for it, leads to.
    enum ContinueAction: Hashable, Sendable {
        case startBody
        case nothing
    }

    /// `100 Continue` came, or was waited for long enough.
    mutating func continued() -> ContinueAction {
        switch state {
        case .awaitingContinue:
            state = .sending
            return .startBody
        case .sending, .sent, .over:
            return .nothing
        }
    }

    /// What to do with a piece of the body.
    enum WriteAction: Hashable, Sendable {
        case write
        case refuse(Outcome)
        /// Nothing may be written now: before the start, behind the end, or beyond the announced length.
        case misuse
    }

    /// There is a piece of the body to write, of so many bytes.
    mutating func bodyOffered(bytes: Int) -> WriteAction {
        switch state {
        case .sending:
            if let remaining {
                let (left, overflow) = remaining.subtractingReportingOverflow(UInt64(bytes))
                guard !overflow else { return .misuse }
                self.remaining = left
            }
            return .write
        case .over(let outcome): return .refuse(outcome)
        case .awaitingContinue, .sent: return .misuse
        }
    }

    /// The body is complete.
    mutating func bodyEnded() -> WriteAction {
        switch state {
        case .sending:
            state = .sent
            return .write
        case .over(let outcome): return .refuse(outcome)
        case .awaitingContinue, .sent: return .misuse
        }
    }

    /// What an answer, or the end of the connection, leads to.
    enum EndAction: Hashable, Sendable {
        /// Tell whoever waits, and close the connection.
        case report(Outcome)
        case nothing
    }

    /// The relay's whole answer came. `200` before the body's last byte is no success: the relay cannot have everything.
    mutating func answered(_ answer: HTTPAnswer) -> EndAction {
        switch state {
        case .sent where answer.status == 200: end(.accepted(bytes: answer.bytes))
        // The last byte of an announced length ends the body for the relay before it is said here.
        case .sending where answer.status == 200 && remaining == 0: end(.accepted(bytes: answer.bytes))
        case .awaitingContinue, .sending, .sent: end(.refused(answer))
        case .over: .nothing
        }
    }

    /// The connection ended.
    mutating func connectionClosed() -> EndAction {
        switch state {
        case .awaitingContinue, .sending, .sent: end(.cut)
        case .over: .nothing
        }
    }

    /// No answer came although it should have.
    mutating func answerOverdue() -> EndAction {
        switch state {
        case .sent: end(.silent)
        case .awaitingContinue, .sending, .over: .nothing
        }
    }

    private mutating func end(_ outcome: Outcome) -> EndAction {
        state = .over(outcome)
        return .report(outcome)
    }
}

extension StreamError {
    /// The end of an upload that was not accepted; `accepted` is none, and stands here as a cut.
    init(_ outcome: UploadExchange.Outcome) {
        self =
            switch outcome {
            case .refused(let answer): .refused(answer)
            case .cut, .accepted: .cut
            case .silent: .silent
            }
    }
}
