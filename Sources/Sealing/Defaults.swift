// SPDX-License-Identifier: Apache-2.0

/// The limits of the sealed format, each with its reason (docs/sealed-format.md). Lengths that the format itself fixes
/// stand with their types.
package enum SealingDefaults {
    /// The most epochs by which a clock may move a profile's prekey on at once: two years in a drawer are believed, a
    /// clock that has lost its date is not, for what is forgotten cannot be brought back.
    package static let mostEpochs: UInt32 = 24
    /// How many epochs a prekey may be away from the sender's own month: around midnight at the end of one, both are
    /// right.
    package static let epochTolerance: UInt32 = 1
    /// Milliseconds that an offer's time may be away from the receiver's: a day, for clocks that are in the wrong zone.
    package static let offerTolerance: UInt64 = 86_400_000
    /// Milliseconds that an attempt is remembered, so that it is not taken twice: one may come a day early and a day
    /// late.
    package static let attemptMemory: UInt64 = 2 * offerTolerance
    /// The most bytes of a summary or of what a request asks for: eight names, each character of which JSON may have
    /// written as six, and then some.
    package static let summaryBytes = 16 * 1024
    /// The top-level names in a summary: what fits into a question.
    package static let summaryNames = 8
    /// The blocks of the source that an acceptance may name. When one block in ten has changed, 16 of them miss it once
    /// in five times; when half have, once in 65,536. What is read for them is 1 MiB at most.
    package static let samples = 16
    /// The most folders within one another: half of what a path of Linux, which has 4,096 bytes, can name.
    package static let folderDepth = 1024
}
