// SPDX-License-Identifier: Apache-2.0

import Crypto
import Foundation
import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TestSupport
import Testing
import WSProtocol

@testable import RelayClientProgram
@testable import Sealing
@testable import TransferClient

/// A folder of files to send, and a receiver of them that keeps everything in memory.
struct SourceFixture {
    let temporary: TemporaryDirectory
    let identity = Curve25519.Signing.PrivateKey()
    let transfer = CarriedTransfer.random()

    init() throws { temporary = try TemporaryDirectory() }

    /// What was told.
    final class Told: Sendable {
        private let told = Mutex<[String]>([])
        var all: [String] { told.withLock { $0 } }
        func add(_ sentence: String) { told.withLock { $0.append(sentence) } }
    }

    /// A path in the folder.
    func path(_ name: String) -> String { temporary.file(name) }

    /// Makes a file, and the folders that it is in.
    @discardableResult
    func write(_ content: String, to name: String) throws -> String {
        try folder(name.split(separator: "/").dropLast().joined(separator: "/"))
        return try temporary.write(Data(content.utf8), to: name)
    }

    /// Makes a folder, and those that it is in.
    @discardableResult
    func folder(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
        return path(name)
    }

    func scan(
        _ names: [String], exclude: [String] = [], preserve: Bool = false, told: Told = Told()
    ) throws(FileError) -> SourceTree {
        let options = SourceOptions(exclude: exclude, keepsMetadata: preserve)
        return try SourceTree.scan(names.map(path), options) { told.add($0) }
    }

    func reader(
        _ tree: SourceTree, from position: TransferPosition = .beginning, wantsByNote: Bool = false
    ) throws -> SourceReader {
        try tree.reader(for: transfer, from: position, wantsByNote: wantsByNote, signedBy: identity)
    }

    /// The whole stream.
    ///
    /// - Parameter room: what each read has.
    func bytes(of reader: SourceReader, wanted: [WantedRun] = [], room: () -> Int = { 100_000 }) throws -> ByteBuffer {
        var stream = ByteBuffer()
        while true {
            var piece = ByteBuffer()
            let room = room()
            let step = try reader.read(into: &piece, room: room)
            #expect(piece.readableBytes <= room)
            stream.writeBuffer(&piece)
            switch step {
            case .more, .flush: break
            case .waitsForNotes:
                let half = wanted.count / 2
                try reader.want(Array(wanted.prefix(half)), isLast: false)
                #expect(try reader.read(into: &piece, room: room) == .waitsForNotes)
                try reader.want(Array(wanted.dropFirst(half)), isLast: true)
            case .end: return stream
            }
        }
    }

    /// What a receiver understands of a stream.
    ///
    /// - Parameter due: the files whose content comes; nil for all that the manifest brings.
    func decode(
        _ stream: ByteBuffer, of tree: SourceTree, from position: TransferPosition = .beginning,
        due: [ExpectedFile]? = nil
    ) throws -> ReceivedStream {
        var decoder = StreamDecoder(
            StreamExpectation(
                form: StreamForm(at: position), transfer: transfer,
                sender: try #require(SigningKey(bytes: identity.publicKey.rawRepresentation)),
                entries: tree.summary.entries, bytes: tree.summary.bytes, digest: tree.digest
            )
        )
        var received = ReceivedStream()
        var files = (due ?? [])[...]
        decoder.append(stream)
        while true {
            switch try decoder.next() {
            case .entry(let entry):
                received.entries.append(entry)
                if due == nil, case .file(let size) = entry.kind { files.append(ExpectedFile(size: size)) }
            case .manifest(let digest): received.digest = digest
            case .nextFile:
                if !files.isEmpty { received.files.append([]) }
                decoder.begin(files.popFirst())
            case .data(let data): received.files[received.files.count - 1] += Array(data.readableBytesView)
            case .hole(let length):
                received.holes += length
                received.files[received.files.count - 1] += [UInt8](repeating: 0, count: Int(length))
            case .fileEnd, .end: break
            case .needMore:
                try decoder.finish()
                return received
            }
        }
    }

    /// All of what is at these names, as a receiver has it.
    func receive(_ names: [String], exclude: [String] = [], preserve: Bool = false) throws -> ReceivedStream {
        let tree = try scan(names, exclude: exclude, preserve: preserve)
        return try decode(try bytes(of: try reader(tree)), of: tree)
    }
}

/// What a stream brought.
struct ReceivedStream {
    var entries: [ManifestEntry] = []
    /// The content of each file; holes as zero bytes.
    var files: [[UInt8]] = []
    var digest: ManifestDigest = []
    var holes: UInt64 = 0

    /// The path of each entry, folders with a slash behind them, links with what they lead to.
    var paths: [String] {
        var paths: [String] = []
        for entry in entries {
            let folder = entry.parent.map { paths[Int($0)] } ?? ""
            switch entry.kind {
            case .folder: paths.append(folder + entry.name.text + "/")
            case .file: paths.append(folder + entry.name.text)
            case .link(let target):
                paths.append(folder + entry.name.text + " -> " + String(decoding: target, as: UTF8.self))
            }
        }
        return paths
    }

    /// The content of each file, by its path.
    var contents: [String: [UInt8]] {
        let names = zip(entries, paths).filter { entry, _ in
            if case .file = entry.kind { true } else { false }
        }
        return Dictionary(uniqueKeysWithValues: zip(names.map(\.1), files))
    }
}
