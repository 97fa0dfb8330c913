// SPDX-License-Identifier: Apache-2.0

import NIOCore

extension Defaults {
    // MARK: Trees

    /// Folders within one another that are open at once, where they are read and where they are made: a few for each
    /// walk, since a process may have 1,024 open files, and enough that coming back from a deep one opens each folder
    /// about once.
    static let openFolders = 32
    /// Things left out that are named each, of a kind: what is read before a question on one screen.
    static let namedOmissions = 8
    /// From how many bytes on a file is announced to the kernel as read in order: smaller ones are read in one call.
    static let sequentialFile: UInt64 = 256 * 1024
    /// Bytes that the fastest receiver of standard input may be ahead of the slowest: some seconds of a good line, and
    /// little memory.
    static let sharedWindow: UInt64 = 8 * 1024 * 1024
    /// Bytes of these that it gets in pieces, while it waits for the slowest: enough for ``sharedPatience``.
    static let sharedReserve: UInt64 = 512 * 1024
    /// From one of these pieces to the next: the relay ends a stream that brings less than 30 KiB in 30 s.
    static let sharedReserveInterval = TimeAmount.seconds(10)
    /// Bytes of standard input that are read at once, or kept in one piece, for several receivers: what a pipe holds.
    static let sharedPiece = 64 * 1024
    /// How long the other receivers of standard input wait for one that takes nothing: as long as the relay lets a
    /// stream stand still.
    static let sharedPatience = TimeAmount.seconds(60)
    /// Records of a scan that are hashed at once, in words of eight bytes: a page or a few.
    static let scanWords = 2_048
}
