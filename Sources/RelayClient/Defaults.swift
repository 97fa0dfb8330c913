// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Every limit and time of the client, with its unit and its reason.
enum Defaults {}

extension Defaults {
    // MARK: Files

    /// Threads that do blocking file work. Several transfers at once should keep a disk busy; more only fight for it.
    static let fileThreads = 4
    /// Bytes a single read of a file may ask for: past 1 MiB a bigger read costs cache and gains nothing.
    static let maximumRead = 1024 * 1024
    /// Bytes a file sink gathers before it goes to a blocking thread: one thread hop for eight 64 KiB records.
    static let gatheredBytes = 512 * 1024
    /// Buffers a file sink gathers at most, so that tiny ones cannot hold on to much more memory than their bytes.
    static let gatheredBuffers = 128
    /// The longest file name in bytes where the file system does not say otherwise (Linux: NAME_MAX).
    static let maximumFileName = 255
    /// The longest extension in bytes that is kept when a name has to be shortened: `.sqlite-journal` fits.
    static let maximumExtension = 20
    /// How often "name (1)", "name (2)" … is tried before giving up: more files of one name mean a mistake.
    static let maximumNumberedNames = 9_999
    /// Columns a name takes at most in a message; two thirds of a wide terminal's line.
    static let displayedNameColumns = 100

    /// Characters of a sentence that are shown: a relay's words are never longer than a screen.
    static let maximumSentence = 2_000

    // MARK: Profile

    /// The largest file of a profile that is read, in bytes: ours have a few hundred.
    static let maximumProfileFile = 64 * 1024

    // MARK: Terminal

    /// Between two drawings of the progress line: ten a second look smooth and cost nothing.
    static let redrawInterval = TimeAmount.milliseconds(100)
    /// Between two drawings while nothing is reported, so that a stalled transfer is seen to stall.
    static let idleRedrawInterval = TimeAmount.seconds(1)
    /// Between two progress lines where they stay: a log of an hour's transfer has 360 of them.
    static let plainProgressInterval = TimeAmount.seconds(10)
    /// Between two `progress` objects of one transfer: enough for a program that draws its own bar.
    static let jsonProgressInterval = TimeAmount.milliseconds(500)
    /// What the shown rate looks back on: shorter jumps about, longer lags behind.
    static let rateWindow = TimeAmount.seconds(3)
    /// Columns assumed where the terminal does not say.
    static let terminalColumns = 80
    /// Bytes of lines kept back while a question has the terminal: a few screens.
    static let maximumHeldBack = 16 * 1024
    /// How long a question waits for its answer: a little less than the relay lets an offer ring (10 minutes).
    static let promptTimeout = TimeAmount.minutes(9)
    /// Bytes of an answer that are looked at: "yes" has three.
    static let maximumAnswer = 1024
}
