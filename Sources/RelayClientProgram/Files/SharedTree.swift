// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles
import Sealing
import TransferClient
import WSProtocol

/// The files and folders that are shared, each under its last name. Nothing of it is open: what is asked for is looked
/// for each time, so that what has come since is there. The calls block for as long as the disk takes.
struct SharedTree: Sendable {
    /// One of the files and folders that the person named.
    private struct Root {
        let path: String
        let name: EntryName
        let way: LinklessWay
    }

    private let roots: [Root]
    let options: SourceOptions

    /// Throws what cannot be shared: what is not there or cannot be read, what is neither file nor folder, and two of
    /// the same name.
    init(_ paths: [String], _ options: SourceOptions) throws(FileError) {
        self.options = options
        var roots: [Root] = []
        do throws(SourceFault) {
            for path in paths {
                let name = try SourceScan.name(of: path)
                if roots.contains(where: { $0.name == name }) { throw .sameShared(name.text) }
                roots.append(Root(path: path, name: name, way: try Self.way(to: path)))
            }
        } catch {
            throw error.error
        }
        self.roots = roots.sorted { $0.name < $1.name }
    }

    private static func way(to path: String) throws(SourceFault) -> LinklessWay {
        let status: stat
        let way: LinklessWay
        do throws(SystemError) {
            way = try LinklessWay(following: path)
            status = try way.open(flags: SourceScan.flags).status()
        } catch {
            throw .unreadable(path, error)
        }
        guard [S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) else { throw .special(path) }
        return way
    }

    /// What is shared, in order.
    var names: [String] { roots.map(\.name.text) }

    /// What is at these paths, to be sent; tells `remark` what is left out.
    func tree(of paths: [PullPath], remark: @escaping @Sendable (String) -> Void) throws(SharedFault) -> SourceTree {
        var tops: [SourceTop] = []
        for path in paths { tops.append(try top(path)) }
        do throws(SourceFault) {
            return try SourceTree.scan(tops, options, remark: remark)
        } catch {
            throw SharedFault(error)
        }
    }

    /// What there is at a path: lines that are made while they are read.
    func listing(of path: PullPath) throws(SharedFault) -> SharedListing {
        guard !path.names.isEmpty else {
            let tops = roots.map { SourceTop(path: PathName($0.path), name: $0.name, way: $0.way) }
            return SharedListing(of: tops)
        }
        let top = try top(path)
        do throws(SystemError) {
            let status = try top.status()
            guard status.st_mode & S_IFMT == S_IFDIR else { return SharedListing(of: [top]) }
            let folder = try top.open(flags: SourceScan.flags | O_DIRECTORY)
            return SharedListing(of: folder, try FolderListing(of: folder))
        } catch {
            throw SharedFault(.unreadable(top.path.text, error))
        }
    }

    private func top(_ path: PullPath) throws(SharedFault) -> SourceTop {
        guard let first = path.names.first, let last = path.names.last,
            let root = roots.first(where: { $0.name == first })
        else { throw .notShared(path.description) }
        let inner = path.names.dropFirst()
        let shown = ([root.path] + inner.map(\.text)).joined(separator: "/")
        return SourceTop(path: PathName(shown), name: last, way: root.way.appending(inner))
    }
}

/// Why a request is not answered with an offer.
enum SharedFault: Error, Hashable, Sendable {
    /// There is nothing at this path, for one who is not to see what a link leads to.
    case notShared(String)
    /// There is something, and it cannot be sent.
    case cannotRead(FileError)

    init(_ fault: SourceFault) {
        switch fault {
        case .unreadable(let path, let failure) where SourceFault.isChange(failure): self = .notShared(path)
        default: self = .cannotRead(fault.error)
        }
    }

    /// What the requester is told.
    var code: FailureCode {
        switch self {
        case .notShared: .notShared
        case .cannotRead: .cannotRead
        }
    }

    /// What the person who shares reads.
    var message: String {
        switch self {
        case .notShared(let path): "there is no \"\(DisplayName.path(path))\" among what is shared"
        case .cannotRead(let error): error.description
        }
    }
}
