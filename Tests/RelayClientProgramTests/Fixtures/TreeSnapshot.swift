// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

@testable import RelayClientProgram
@testable import Sealing

/// What a folder holds, by path: what a person sees of it.
struct TreeSnapshot: Equatable, CustomStringConvertible {
    /// One entry.
    enum Entry: Hashable {
        case folder
        case file([UInt8])
        case link(String)
    }

    private(set) var entries: [String: Entry] = [:]
    private(set) var times: [String: Int] = [:]

    var description: String {
        entries.keys.sorted().map { path in
            switch entries[path] {
            case .file(let content): "\(path): \(content.count) bytes"
            case .folder: "\(path)/"
            case .link(let target): "\(path) -> \(target)"
            case nil: ""
            }
        }.joined(separator: "\n")
    }

    /// What is in the folder at `path`, but for what is hidden at its top.
    init(of path: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where !name.hasPrefix(".relay-") {
            try add(path + "/" + name, as: name)
        }
    }

    /// What a tree is stored as.
    init(of tree: SentTree, keepsLinks: Bool = false, wanted: [Bool]? = nil) {
        var paths: [String] = []
        var taken: Set<String> = []
        var file = 0
        for entry in tree.entries {
            let safe = SafeFileName(offered: entry.name.text, isFolder: entry.kind == .folder)
            var name = entry.name.text
            if entry.parent == nil {
                name = safe.text
                var number = 1
                while taken.contains(name) {
                    name = safe.numbered(number)
                    number += 1
                }
            }
            var isMade = true
            if case .link = entry.kind { isMade = keepsLinks }
            let path = entry.parent.map { parent in paths[Int(parent)] + "/" + name } ?? name
            paths.append(path)
            if isMade, entry.parent == nil { taken.insert(name) }
            switch entry.kind {
            case .folder: entries[path] = .folder
            case .file:
                entries[path] = .file(tree.files[file])
                file += 1
            case .link(let target): if keepsLinks { entries[path] = .link(String(decoding: target, as: UTF8.self)) }
            }
            if isMade { times[path] = Int(entry.seconds) }
        }
    }

    private mutating func add(_ path: String, as shown: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        times[shown] = status.st_mtim.tv_sec
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            entries[shown] = .folder
            for name in try FileManager.default.contentsOfDirectory(atPath: path) {
                try add(path + "/" + name, as: shown + "/" + name)
            }
        case S_IFLNK: entries[shown] = .link(try FileManager.default.destinationOfSymbolicLink(atPath: path))
        default: entries[shown] = .file([UInt8](try Data(contentsOf: URL(fileURLWithPath: path))))
        }
    }
}
