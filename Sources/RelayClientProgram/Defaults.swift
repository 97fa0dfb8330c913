// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient
import WSProtocol

/// Every limit and time of the client, with its unit and its reason.
enum Defaults {}

extension Defaults {
    // MARK: Files

    /// Threads that do blocking file work. Several transfers at once should keep a disk busy, and small ones mostly
    /// wait for it to confirm: what waits at the same time is confirmed by one write of its journal.
    static let fileThreads = 8
    /// Bytes a single read of a file may ask for: past 1 MiB a bigger read costs cache and gains nothing.
    static let maximumRead = 1024 * 1024
    /// The longest file name in bytes where the file system does not say otherwise (Linux: NAME_MAX).
    static let maximumFileName = 255
    /// The longest extension in bytes that is kept when a name has to be shortened: `.sqlite-journal` fits.
    static let maximumExtension = 20
    /// How often "name (1)", "name (2)" … is tried before giving up: more files of one name mean a mistake.
    static let maximumNumberedNames = 9_999
    /// Characters of a refused name that are tried one by one to find the one that a file system refuses: a name has
    /// rarely more that are not letters or digits.
    static let mostProbedCharacters = 32
    /// Bytes of a manifest that are written, or read, at once.
    static let manifestBuffer = 64 * 1024
    /// Bytes of a manifest that are taken whatever --max-size says: of 300,000 files with names of a usual length. One
    /// that is larger than that and than --max-size fills the disk without any content.
    static let unlimitedManifest: UInt64 = 16 * 1024 * 1024
    /// Bytes of a journal that are read at once; it has rarely more.
    static let journalRead = 64 * 1024
    /// Bytes of a journal in which its first record ends: a summary, names and keys.
    static let journalBeginning: UInt64 = 128 * 1024
    /// Entries of a folder that are removed in one go: their names are a few megabytes.
    static let removedAtOnce = 10_000
    /// Bytes of a boot's identifier that are read: the kernel's has 36.
    static let bootIdentifier = 64
    /// Folders of parts that are tried for one transfer: others of the name are another profile's, or in use.
    static let partFolderTries = 8
    /// Bytes of content after which they are made durable and the journal says so: what a power cut takes at most.
    static let checkpointBytes: UInt64 = 64 * 1024 * 1024
    /// How long content waits to be made durable: less is not worth a person's notice.
    static let checkpointInterval = TimeAmount.seconds(1)
    /// Bytes of a file after which it begins to be written out, so that a checkpoint has little to wait for.
    static let writeBackBytes: UInt64 = 8 * 1024 * 1024
    /// The size from which a file's room is asked for at once: below it that costs more than it tells.
    static let reservedSize: UInt64 = 1024 * 1024
    /// Whole files that are held open until they are durable, each confirmed by itself; of more, all of the file
    /// system is.
    static let confirmedFiles = 8
    /// Entries that got another name than theirs, though others were replaced, and are told one by one: more fill the
    /// screen.
    static let toldNames = 8
    /// Stored entries that are told one by one.
    static let mostStoredContents = TransferDefaults.mostStoredContents
    /// Columns a name takes at most in a message; two thirds of a wide terminal's line.
    static let displayedNameColumns = 100
    /// Columns a name takes at most in a list of eight.
    static let listedNameColumns = 30
    /// Columns of the path of a file that was made: three names of the longest kind fit whole, and so does the rest of
    /// a message around it.
    static let displayedPathColumns = 1_000

    /// Characters of a message that are shown: a relay's words are never longer than a screen.
    static let maximumMessage = 2_000

    /// Characters of a relay's own message that are shown, within a message: twice its longest.
    static let relayMessage = 400

    // MARK: Profile

    /// The largest file of a profile that is read, in bytes: ours have a few hundred.
    static let maximumProfileFile = 64 * 1024
    /// Peers that a profile knows at most: more than a person has, and a list of them is read at once.
    static let mostPeers = 10_000
    /// The largest list of peers that is read, in bytes: 200 for each of them.
    static let maximumPeersFile = 200 * mostPeers
    /// Attempts that were taken in the last two days and are remembered at most: one in 17 seconds.
    static let mostAttempts = 10_000
    /// The largest list of attempts that is read, in bytes: 37 for each of them, and as many again that are out of date
    /// or torn.
    static let maximumAttemptsFile = 100 * mostAttempts
    /// Lines of attempts that are out of date from which on the list is written anew.
    static let mostOldAttempts = 1_000
    /// The largest list of policies, and of what was taken today, in bytes: a path and a command of a few kilobytes for
    /// each of a thousand senders.
    static let maximumPoliciesFile = 8 * 1024 * 1024
    /// Senders with a policy at most; a list of them is read at each offer.
    static let mostPolicies = 1_000
    /// Bytes of a command, or a path, in a policy: as long as a path may be.
    static let maximumPolicyText = 4_096
    /// Transfers of each profile that are remembered at most; the oldest give way.
    static let mostRecords = 1_000
    /// Bytes of what is remembered about a transfer: as many paths as fit on a command line.
    static let maximumRecord = 4 * 1024 * 1024
    /// Milliseconds that a transfer is remembered after it was worked on last: a week, as its part files are kept.
    static let recordLifetime: UInt64 = 7 * 86_400_000

    // MARK: Terminal

    /// Between two drawings of the progress line: ten a second look smooth and cost nothing.
    static let redrawInterval = TimeAmount.milliseconds(100)
    /// Between two drawings while nothing is reported, so that a stalled transfer is seen to stall.
    static let idleRedrawInterval = TimeAmount.seconds(1)
    /// Between two progress lines where they stay: a log of an hour's transfer has 360 of them.
    static let plainProgressInterval = TimeAmount.seconds(10)
    /// Between two `progress` objects of one transfer: enough for a program that draws its own bar.
    static let jsonProgressInterval = TimeAmount.milliseconds(500)
    /// Between two samples of the rate, so that there are a few dozen at most.
    static let rateSampleInterval = TimeAmount.milliseconds(100)
    /// What the shown rate looks back on: shorter jumps about, longer lags behind.
    static let rateWindow = TimeAmount.seconds(3)
    /// Columns and rows assumed where the terminal does not say.
    static let terminalColumns = 80
    static let terminalRows = 24
    /// Lines that are drawn again and again: more would push what was said out of a small window.
    static let mostProgressLines = 10
    /// Bytes of lines kept back while a question has the terminal: a few screens.
    static let maximumHeldBack = 16 * 1024
    /// How long a question waits for its answer: a little less than the relay lets an offer ring (10 minutes).
    static let promptTimeout = TimeAmount.minutes(9)
    /// How often a question is asked whose answer is neither yes nor no: a slip of the finger is not a decision.
    static let mostQuestions = 3
    /// Milliseconds within which a cancelled question releases the terminal: too short for a user to notice.
    static let promptPoll: Int32 = 100
    /// Bytes of an answer that are looked at: "yes" has three.
    static let maximumAnswer = 1024
}

extension Defaults {
    // MARK: Connecting

    /// From the first DNS question to an open TCP connection: past this a person has given up looking.
    static let connectTimeout = TimeAmount.seconds(10)
    /// From the upgrade request to the relay's `welcome`: the relay closes after the same time.
    static let loginTimeout = ProtocolDefaults.loginTimeout
    /// How much longer a step is waited for than the handler has that does it: that one says better what is the matter.
    static let deadlineMargin = TimeAmount.seconds(1)
    /// TCP_USER_TIMEOUT on the control connection: a relay that acknowledges nothing for this long is gone.
    static let controlUserTimeout = TimeAmount.seconds(15)
    /// TCP_USER_TIMEOUT on a data connection. Linux counts a closed window as time without progress, even while the
    /// other side answers the probes; a receiver that pauses is the relay's business for 60 s, so this has to be
    /// longer.
    static let dataUserTimeout = TimeAmount.seconds(75)
    /// Bytes of a `url` in a `start` message: the relay refuses targets longer than this.
    static let longestReference = 8 * 1024
    /// Entries of NO_PROXY that are looked at: a variable that long is a mistake.
    static let mostProxyExemptions = 1_000
    /// Bytes of an HTTP answer's body that are read for its code: the relay's are under 300.
    static let longestAnswer = 16 * 1024
    /// Bytes of one HTTP field, as the relay's own limit.
    static let longestField = 8 * 1024
    /// Bytes of all fields together, as the relay's own limit.
    static let longestHead = 16 * 1024
    /// Fields of one answer, as the relay's own limit.
    static let mostFields = 100
    /// Control messages that wait to be looked at: the sessions never take longer than a few at a time.
    static let mostUnreadMessages = 1_024
    /// How long a relay is waited for that has not answered what others are to hear of this client: one that is well
    /// answers in milliseconds.
    static let unansweredTimeout = TimeAmount.seconds(1)
    /// How long to wait for the close handshake when leaving: nothing depends on it.
    static let closeTimeout = TimeAmount.seconds(1)

    /// Events that wait for a session's loop; half of them may come from the relay.
    static let mostEvents = 8_192

    // MARK: Data

    /// Free bytes at the end of the heap that are kept: the buffers that a stream goes through, which are given back on
    /// another thread than they were taken. With the 128 KiB of glibc each was a page fault for each of its pages.
    static let keptMemory: Int32 = 16 * 1_048_576
    /// Bytes of a block that comes from the heap; a larger one is of the system, and given back at once.
    static let largestKeptBlock: Int32 = 4 * 1_048_576
    /// Chunks that are read and sealed at a time, 1 MiB: large enough that the cost of a hop to a blocking thread does
    /// not show.
    static let sealedBatch = 16
    /// Bytes that may wait in a channel before the source is paused: two reads, so that hashing and sending overlap.
    static let uploadHighWaterMark = 2 * 1_048_576
    /// Bytes left in the channel when the source goes on.
    static let uploadLowWaterMark = 1_048_576
    /// Bytes of a download that may wait for the sink before reading pauses.
    static let downloadHighWaterMark = 2 * 1_048_576
    /// Bytes that one read of a download's socket brings at most: what has come while the last was decrypted.
    static let downloadRead = 1_048_576
    /// Bytes of a download that are handed to the thread that stores them at once: waking it for each read cost a tenth
    /// of all processor time.
    static let downloadHandover = 512 * 1024
    /// How long bytes wait for more of them to be handed over.
    static let downloadHandoverDelay = TimeAmount.milliseconds(5)
    /// How long the relay's `100 Continue` is waited for. `start` comes when the receiver is attached already, so
    /// silence means that something on the way swallowed it.
    static let continueTimeout = TimeAmount.seconds(3)
    /// The relay holds a download for 30 s until the sender's half comes, and says so at the end; a little longer.
    static let downloadAnswerTimeout = TimeAmount.seconds(45)
    /// The window of a download's connection, in bytes; the kernel takes in up to twice that, by how large the packets
    /// are. Linux lets a relay have 4 MiB on its way, so that more would make no line faster: the kernel would only
    /// take in up to 32 MiB for a disk that is slow, all of which is sent again when this program is killed.
    static let downloadWindow = 3 * 1_048_576
    /// After a loss, what of a download is still on its way is taken for so long, and no longer than something comes:
    /// the relay passes it on as long.
    static let drainTotal = TimeAmount.seconds(15)
    static let drainSilence = TimeAmount.seconds(2)
    /// How long a download that is read brings nothing: the relay ends one whose sender gives less than 30 KiB in 30 s,
    /// and sees that at the end of the next 30 s at the latest.
    static let downloadSilence = TimeAmount.seconds(90)
    /// From the head of an answer that came before its time to its end: the relay's are one packet.
    static let answerTimeout = TimeAmount.seconds(5)
    /// From the last byte of the upload to the relay's answer, and from each report of the receiver that it has got
    /// further: kernels hold 10 MB and more on the way to a slow one. The relay itself ends a stream whose receiver
    /// takes nothing for a minute.
    static let uploadAnswerTimeout = TimeAmount.minutes(10)

    /// How often a session looks whether another month has begun, whose prekey it has to publish: the old one is good
    /// for weeks, and sessions do not all come back at once.
    static let prekeyCheck = TimeAmount.hours(1)

    // MARK: Transfers

    /// How long a connection waits for answers, for one of them or for all together, before the person is told: a relay
    /// that is well answers at once.
    static let slowAnswer = TimeAmount.seconds(2)
    /// How long each answer may take without being counted: a round trip by satellite.
    static let ordinaryAnswer = TimeAmount.milliseconds(600)
    /// Downloads at once; more only fight for disk and network. Others wait their turn, still ringing.
    static let parallelDownloads = 4
    /// Downloads of small contents at once, and of all: these wait for round trips and for the disk's word, and hardly
    /// use either.
    static let parallelSmallDownloads = 16
    /// The bytes of content up to which a transfer costs what its steps cost, and not what its bytes do: one record.
    static let smallContent: UInt64 = 64 * 1024
    /// Rings that are kept in mind at once: a relay rings for 128 offers at once, and offers of a lost relay are made
    /// again at the next one. Most are a few hundred bytes; 43 KiB is the most one can have.
    static let mostRings = 1_024
    /// How often the sender hears how far the receiver is: half as often as the relay would pass on.
    static let progressInterval = TimeAmount.milliseconds(500)
    /// What is on its way to those who asked for it, at once: each takes a few MiB while it runs. Others wait their
    /// turn.
    static let parallelAnswers = 12
    /// Entries of a listing that are kept until they are shown, some 100 bytes each.
    static let mostListedEntries = 1_000_000
    /// The name that standard input is offered under.
    static let standardInputName = "stdin"
    /// A timer that is so much late says that this process stood still: no load holds one up for so long.
    static let standstill = TimeAmount.seconds(1)
    /// How long nothing is decided by the time after that: what waits in the sockets is read in a fraction of it.
    static let standstillPause = TimeAmount.seconds(1)
    /// How long leaving may take after an interrupt: enough to tell the relay and to remove part files.
    static let leaveTimeout = TimeAmount.seconds(1)
}
