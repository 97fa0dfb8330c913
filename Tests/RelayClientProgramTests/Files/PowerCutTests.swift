// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// The power fails between any two writes: what the disk was not asked to confirm may be gone, or be there in part.
struct PowerCutTests {
    /// What a disk holds, by path.
    typealias Image = [String: [UInt8]?]

    /// Follows what is written into a folder, and what of it was confirmed.
    private final class Disk: Sendable {
        let path: String
        private let state = Mutex((durable: Image(), renamed: Image(), cuts: [Cut]()))

        /// A moment at which the power may fail.
        struct Cut {
            let durable: Image
            /// What of that has got another name since.
            let renamed: Image
            let volatile: Image
        }

        init(_ path: String) { self.path = path }

        var cuts: [Cut] { state.withLock { $0.cuts } }

        /// What is there now; folders without content.
        func read() -> Image {
            var image = Image()
            let enumerator = FileManager.default.enumerator(atPath: path)
            while let name = enumerator?.nextObject() as? String {
                var isFolder: ObjCBool = false
                _ = FileManager.default.fileExists(atPath: path + "/" + name, isDirectory: &isFolder)
                let content = isFolder.boolValue ? nil : FileManager.default.contents(atPath: path + "/" + name)
                image.updateValue(content.map { Array($0) }, forKey: name)
            }
            return image
        }

        func cut() {
            let now = read()
            state.withLock { state in
                state.cuts.append(Cut(durable: state.durable, renamed: state.renamed, volatile: now))
            }
        }

        /// Everything is confirmed.
        func confirm() {
            let now = read()
            state.withLock { state in state.durable = now }
        }

        /// One file is, whose name may not be; or all names of a folder are.
        func confirm(_ descriptor: Int32) {
            let now = read()
            guard let opened = OpenFile(descriptor: dup(descriptor)).path(), opened.hasPrefix(path) else { return }
            let name = String(opened.dropFirst(path.count + 1))
            state.withLock { state in
                if name.isEmpty {
                    // The folder that is received into: what has got a name there was confirmed before.
                    state.durable = now
                } else if state.durable[name] != nil, let content = now[name] {
                    state.durable.updateValue(content, forKey: name)
                }
            }
        }

        /// What is durable of `old` is so under its new name, if that is.
        private func rename(_ folder: Int32, _ from: String, _ to: String) {
            guard let opened = OpenFile(descriptor: dup(folder)).path(), opened.hasPrefix(path + "/") else { return }
            let old = opened.dropFirst(path.count + 1) + "/" + from
            state.withLock { state in
                for (name, content) in state.durable where name == old || name.hasPrefix(old + "/") {
                    state.renamed.updateValue(content, forKey: to + name.dropFirst(old.count))
                }
            }
        }

        /// Calls that are followed.
        var calls: FileCalls {
            var calls = FileCalls()
            calls.write = { [write = calls.write] file, bytes, offset in
                self.cut()
                return write(file, bytes, offset)
            }
            calls.truncate = { [truncate = calls.truncate] file, length in
                self.cut()
                return truncate(file, length)
            }
            calls.rename = { [rename = calls.rename] folder, from, target, to in
                self.cut()
                self.rename(folder, from, to)
                return rename(folder, from, target, to)
            }
            for confirming: WritableKeyPath<FileCalls, @Sendable (Int32) -> Int32> in [
                \.syncFile, \.syncData, \.syncFolder,
            ] {
                calls[keyPath: confirming] = { file in
                    self.cut()
                    self.confirm(file)
                    return 0
                }
            }
            calls.syncAll = { _ in
                self.cut()
                self.confirm()
                return 0
            }
            return calls
        }
    }

    /// What the disk may hold after a cut.
    private enum Luck: CaseIterable {
        /// Only what was confirmed.
        case least
        /// That, and all of the journal.
        case journal
        /// That, and the sizes of all files without what was written to them.
        case sizes
        /// Everything but what was not confirmed of the journal.
        case most

        func image(_ cut: Disk.Cut) -> Image {
            switch self {
            case .least: return cut.durable
            case .journal:
                var image = cut.durable
                for (path, content) in cut.volatile where path.hasSuffix("/journal") || path.hasSuffix("/manifest") {
                    if image[path.replacing("/journal", with: "").replacing("/manifest", with: "")] != nil {
                        image.updateValue(content, forKey: path)
                    }
                }
                return image
            case .sizes:
                var image = cut.volatile
                for (path, content) in cut.volatile where content != nil {
                    let kept = (cut.durable[path] ?? cut.renamed[path]).flatMap { $0 } ?? []
                    let size = content?.count ?? 0
                    let lost = [UInt8](repeating: 0xEE, count: max(0, size - kept.count))
                    image.updateValue(path.hasSuffix("/journal") ? content : kept.prefix(size) + lost, forKey: path)
                }
                return image
            case .most:
                var image = cut.volatile
                for path in cut.volatile.keys where path.hasSuffix("/journal") {
                    image.updateValue(cut.durable[path] ?? [], forKey: path)
                }
                return image
            }
        }
    }

    private func tree(_ seed: UInt64) throws -> SentTree {
        var tree = SentTree()
        var generator = SeededGenerator(seed: seed)
        let isFlat = seed.isMultiple(of: 3)
        let top = isFlat ? nil : try tree.add("top")
        for name in ["a", "b", "c"] { try tree.add(name, in: top, content: generator.bytes(3_000)) }
        try tree.add("pipe", in: top, content: generator.bytes(2_000), isKnown: false)
        if seed.isMultiple(of: 2) {
            let inner = try tree.add("q", in: top)
            try tree.add("r", in: inner, content: generator.bytes(2_500))
        }
        try tree.add("z", in: top, content: generator.bytes(4_000))
        return tree
    }

    @Test(arguments: SeededGenerator.seeds(3)) func noPositionIsAheadOfTheDisk(_ seed: UInt64) throws {
        let tree = try tree(seed)
        let folder = try ReceivedFolder()
        let disk = Disk(folder.path)
        let sink = try parts(folder, disk.calls, boot: 1).open(try tree.offer)
        try CarryingAttempt(tree: tree, piece: 1_500, checkpoints: 2).carry(into: sink)
        _ = try sink.finish()
        sink.keep()
        #expect(disk.cuts.count > 40)
        var seen: Set<Image> = []
        for (number, cut) in disk.cuts.enumerated() {
            for luck in Luck.allCases {
                let image = luck.image(cut)
                if seen.insert(image).inserted { try check(tree, image, "seed \(seed), cut \(number), \(luck)") }
            }
        }
    }

    private func check(_ tree: SentTree, _ image: Image, _ what: String) throws {
        let folder = try ReceivedFolder()
        for path in image.keys.sorted() {
            let target = folder.path + "/" + path
            if let content = image[path].flatMap({ $0 }) {
                try Data(content).write(to: URL(fileURLWithPath: target))
            } else {
                try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
            }
        }
        let sink = try parts(folder, ResumedTreeTests.calls, boot: 2).open(try tree.offer)
        let position = sink.position
        let content = folder.path + "/" + PartFolder.name(of: tree.transfer) + "/content/"
        if try FileManager.default.contentsOfDirectory(atPath: content).count > 0 {
            for (number, path) in paths(tree).enumerated() where number <= position.file {
                let whole = tree.files[number]
                let length = number < position.file ? whole.count : Int(position.offset)
                guard length > 0, let here = FileManager.default.contents(atPath: content + path) else {
                    // It has got its final name.
                    continue
                }
                #expect(Array(here.prefix(length)) == Array(whole.prefix(length)), "\(what): \(path)")
            }
        }
        #expect(try CarryingAttempt(tree: tree).carry(into: sink).isWhole)
        _ = try sink.finish()
        sink.confirmed()
        #expect(try TreeSnapshot(of: folder.path).entries == TreeSnapshot(of: tree).entries, "\(what)")
    }

    private func paths(_ tree: SentTree) -> [String] {
        tree.entries.compactMap { entry in
            guard case .file = entry.kind else { return nil }
            var names = [entry.name.text]
            var parent = entry.parent
            while let number = parent {
                names.insert(tree.entries[Int(number)].name.text, at: 0)
                parent = tree.entries[Int(number)].parent
            }
            return names.joined(separator: "/")
        }
    }

    private func parts(_ folder: ReceivedFolder, _ calls: FileCalls, boot: UInt8) -> ReceivedParts {
        ReceivedParts(
            directory: folder.directory, options: ReceivedOptions(), calls: calls,
            boot: SystemBoot(identifier: [boot])
        )
    }
}
