// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Sealing
import Synchronization

/// What there is at a path, as lines that are made while they are read: the memory it takes is that of the names.
final class SharedListing: ReadOnce {
    fileprivate enum Source {
        case tops(ArraySlice<SourceTop>)
        case folder(OpenFile, FolderListing)
    }

    private struct State {
        var source: Source
        /// What was made and not yet read.
        var pending = ByteBuffer()
    }

    private let state: Mutex<State>

    /// Of these themselves, without those that are not there now.
    init(of tops: [SourceTop]) { state = Mutex(State(source: .tops(tops[...]))) }

    /// Of what is in a folder.
    init(of folder: OpenFile, _ names: FolderListing) { state = Mutex(State(source: .folder(folder, names))) }

    let mayWait = false
    let wouldWait = false

    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        let piece = state.withLock { state -> ByteBuffer? in
            while state.pending.readableBytes == 0 {
                state.pending.clear()
                guard let next = state.source.next() else { return nil }
                // What is no file, folder or link, or has no name that can be sent, is not there for others.
                if let entry = next.entry { state.pending.writeBytes(entry.line) }
            }
            return state.pending.readSlice(length: min(length, state.pending.readableBytes))
        }
        guard let piece else { return 0 }
        return buffer.writeImmutableBuffer(piece)
    }
}

extension SharedListing.Source {
    /// Looks at what is next; nil at the end. The entry is nil where there is nothing to be shown.
    fileprivate mutating func next() -> (entry: ListedEntry?, Void)? {
        switch self {
        case .tops(var tops):
            guard let top = tops.popFirst() else { return nil }
            self = .tops(tops)
            return ((try? top.status()).flatMap { ListedEntry(top.name, $0) }, ())
        case .folder(let folder, var names):
            guard let path = names.next() else { return nil }
            self = .folder(folder, names)
            guard let name = try? EntryName(path.bytes),
                let status = try? OpenFile.status(of: path, in: folder, followsLinks: false)
            else { return (nil, ()) }
            return (ListedEntry(name, status), ())
        }
    }
}

extension ListedEntry {
    /// Nil for what is no file, folder or link.
    fileprivate init?(_ name: EntryName, _ status: stat) {
        let kind: Kind
        switch status.st_mode & S_IFMT {
        case S_IFREG: kind = .file
        case S_IFDIR: kind = .folder
        case S_IFLNK: kind = .link
        default: return nil
        }
        let (milliseconds, overflow) = Int64(status.st_mtim.tv_sec).multipliedReportingOverflow(by: 1_000)
        self.init(
            name: name, kind: kind, size: kind == .file ? UInt64(max(0, status.st_size)) : nil,
            modified: overflow ? 0 : milliseconds &+ Int64(status.st_mtim.tv_nsec / 1_000_000)
        )
    }
}
