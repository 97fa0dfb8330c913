// SPDX-License-Identifier: Apache-2.0

/// Every limit and every interval of the client, each with its unit and the reason for its value.
enum Defaults {
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
}
