// SPDX-License-Identifier: Apache-2.0

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
    /// Records of a scan that are hashed at once, in words of eight bytes: a page or a few.
    static let scanWords = 2_048
}
