// SPDX-License-Identifier: Apache-2.0

package import NIOCore

/// The limits and times of a transfer on the client's side, each with its unit and its reason.
package enum TransferDefaults {
    // MARK: Trying again

    /// The longest first pause before another try: a node that has gone is replaced by the next one at once.
    package static let firstPause = TimeAmount.milliseconds(200)
    /// The longest pause at all: the clients of a node that has gone are elsewhere within 5 s.
    package static let longestPause = TimeAmount.seconds(5)
    /// A connection that lasted this long was a good one: the pauses begin again from the shortest.
    package static let steadyConnection = TimeAmount.seconds(10)
    /// How long `send` waits and tries unless it is told otherwise: as long as an offer rings.
    package static let patience = TimeAmount.minutes(10)
    /// The pause after a fault of the relay, which is rarely gone at once.
    package static let pauseAfterFault = TimeAmount.seconds(1)
    /// The pause after a limit of the relay was met: something of what counts towards it has ended by then.
    package static let pauseWhenLimited = TimeAmount.seconds(5)
    /// How often a first connection that is cut while it is made is tried again: enough for a relay that just starts,
    /// soon enough for a person who mistyped a port.
    package static let quickTries = 3
    /// How often a transfer is offered again because its offer was sealed to a key that the receiver does not have: the
    /// next look may still find the old key where the receiver logs in at the same moment, and none helps where a clock
    /// is wrong.
    package static let freshTries = 3
    /// How often what is sent begins again because it was changed meanwhile: a file that was just being saved holds
    /// still after once or twice, and one that is written to all the time never does.
    package static let mostRestarts = 3
    /// A token is tried for so much less time than the relay's `start` gives it: that was on its way for a while, and
    /// so is the request.
    package static let tokenMargin = TimeAmount.seconds(5)
    /// Seconds that a token is tried at most, whatever the relay announces: sixty times what it does.
    package static let longestToken = 3_600
    /// Offers that a receiver remembers, for as long as it runs: a few hundred bytes each.
    package static let mostRememberedOffers = 1_000
    /// What may have come to an accepted content while it was sent, for the changed one to be taken without another
    /// question: a tenth, or so many bytes and entries where that is less.
    package static let unaskedGrowth: (part: UInt64, bytes: UInt64, entries: UInt64) = (10, 1_048_576, 10)
    /// Transfers of one sender that were begun on one day and are told apart in what counts towards its limit: more
    /// than a person has unfinished.
    package static let mostOpenCounts = 256
    /// How long `receive --once` stays for a sender who may not have heard that the file arrived: a relay's restart and
    /// the longest pause fit in.
    package static let confirmationPatience = TimeAmount.minutes(2)

    /// How long a connection that another one has replaced is kept after the relay has taken in who the client is on
    /// the new one: until then every node can find the client there, also when Redis is slow.
    package static let moveOverlap = TimeAmount.seconds(1)

    // MARK: Waiting for the relay

    /// For the relay's answer to a request: it may ask Redis and another node, with 2 s for each.
    package static let answerTimeout = TimeAmount.seconds(30)
    /// For the relay's word on why a stream broke. The relay itself waits half a second for the word of the client that
    /// cut it, and looks at its clock four times a second; that a peer is gone it says at once.
    package static let explanationTimeout = TimeAmount.seconds(2)

    // MARK: Several at once

    /// Contents on their way to one receiver at once: each small one takes some round trips, and this many keep
    /// a receiver's parallel downloads busy on a line of 100 ms.
    package static let parallelSends = 16
    /// Receivers that something is on its way to at once: each has a stream, and a few megabytes that wait for it.
    package static let parallelReceivers = 64
    /// Bytes of content that are on their way to one receiver at once, unless a single one has more: some seconds of a
    /// slow line, so that few have to begin again when it is cut. Larger contents go one after the other.
    package static let parallelSendBytes: UInt64 = 4 * 1_048_576
    /// How fast a receiver accepts when its user is not asked: a round trip on the slowest line. A user cannot read a
    /// question and answer it within this time.
    package static let unaskedAnswer = TimeAmount.seconds(1)

    // MARK: Asking for what others share

    /// From the first request to the next, as long as no answer comes: a sharer who is there looks through some
    /// 10,000 files in this time, and one who is just starting is not missed for long.
    package static let firstRequestInterval = TimeAmount.seconds(5)
    /// The longest time from one request to the next: a sharer who comes back in the night is found within a minute,
    /// and a relay hears little of those who wait.
    package static let longestRequestInterval = TimeAmount.seconds(60)
    /// How long an answer is waited for with `--no-wait`: a sharer has to look through what is asked for before it
    /// answers.
    package static let unawaitedAnswer = TimeAmount.seconds(10)
    /// How long one session of a name that refuses is not believed alone: another one, on another computer, may have
    /// what is asked for.
    package static let otherAnswers = TimeAmount.seconds(2)
    /// How long a listing waits for those of other sessions of the same name.
    package static let otherListings = TimeAmount.seconds(1)
    /// Requests that a sharer answers at once, from all requesters: each may hold some open files and buffers.
    package static let mostAnswers = 64
    /// Requests from one requester that a sharer answers at once: a person's few windows, and a script with a little
    /// parallelism.
    package static let mostAnswersToOne = 8
    /// Requests of one requester that a sharer remembers one by one, so that none is answered twice; of those before it
    /// knows the time only. The older half of them is many times what can be on its way at once, in whatever order.
    package static let mostSeenRequests = 512
    /// Requesters of whom a sharer remembers any: with 512 requests of each, these are some 12 MB.
    package static let mostSeenRequesters = 512
    /// Milliseconds after which those that can come no more are forgotten: a sharer that runs for months holds no more
    /// than what was asked in a day.
    package static let seenRequestsCheck: UInt64 = 60_000

    // MARK: Journals

    /// The stored entries of a transfer that are told one by one: more fill no screen, and a command that is run for
    /// them has no room for more.
    package static let mostStoredContents = 1_000
}
