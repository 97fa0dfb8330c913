// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import NIOCore
import Synchronization

/// A received file: content goes into a hidden `.part` file of an unguessable name that only its owner can read, and
/// gets its final name, without replacing anything, once it is complete and on the disk.
final class FileSink: ContentSink {
    let isRepeatable = true

    private let name: SafeFileName
    private let partialName: String
    private let size: UInt64?
    private let directory: OpenFile
    private let directoryPath: String
    private let identity: OpenFile.Identity
    private let state: Mutex<State>

    private struct State {
        /// Nil once finished or discarded.
        var file: OpenFile?
        var gathered: [ByteBuffer] = []
        var gatheredBytes = 0
        var written: UInt64 = 0
        var isReserved = false
    }

    /// Creates the `.part` file in `directory`; `directoryPath` is for messages and for the final path.
    init(name: SafeFileName, size: UInt64?, directory: OpenFile, directoryPath: String) throws(SystemFailure) {
        let (partialName, file) = try Self.createPartial(name, in: directory)
        self.name = name
        self.partialName = partialName
        self.size = size
        self.directory = directory
        self.directoryPath = directoryPath
        identity = try file.identity()
        state = Mutex(State(file: file))
    }

    deinit {
        let file = state.withLock { state in state.file }
        if file != nil { removePartial() }
    }

    /// Takes `buffer`; goes to a blocking thread only once enough has gathered.
    func write(_ buffer: ByteBuffer) async throws {
        let isFull = try state.withLock { state in
            guard state.file != nil else { throw isOver }
            state.gathered.append(buffer)
            state.gatheredBytes += buffer.readableBytes
            return state.gatheredBytes >= Defaults.gatheredBytes || state.gathered.count >= Defaults.gatheredBuffers
        }
        guard isFull else { return }
        try await BlockingWork.files.run { [self] in
            try inWords { try state.withLock { state in try flush(&state) } }
        }
    }

    func finish() async throws -> String {
        try await BlockingWork.files.run { [self] in
            try inWords { try state.withLock { state in try complete(&state) } }
        }
    }

    func discard() async {
        // Nothing here throws; a discard has to go through in a cancelled task too.
        try? await BlockingWork.files.run { [self] in
            state.withLock { state in
                guard state.file != nil else { return }
                state = State()
                removePartial()
            }
        }
    }

    // MARK: On a blocking thread

    private func flush(_ state: inout State) throws {
        guard let file = state.file else { throw isOver }
        try reserve(file, &state)
        let buffers = state.gathered
        state.gathered.removeAll(keepingCapacity: true)
        state.gatheredBytes = 0
        for buffer in buffers {
            try unsafe buffer.withUnsafeReadableBytes { bytes in
                try unsafe SystemCall.writeAll(bytes, to: file.descriptor)
            }
            state.written += UInt64(buffer.readableBytes)
        }
    }

    /// Asks for the whole size at once, so that a disk too small is found at the first byte and not at the last.
    private func reserve(_ file: OpenFile, _ state: inout State) throws {
        guard !state.isReserved else { return }
        state.isReserved = true
        guard let size, size > 0, let length = off_t(exactly: size) else { return }
        do {
            try SystemCall.check { CLinux_reserve(file.descriptor, length) }
        } catch {
            // Not every file system can; there the writes will tell.
            if error.isFull { throw error }
        }
    }

    private func complete(_ state: inout State) throws -> String {
        try flush(&state)
        guard let file = state.file else { throw isOver }
        if let size, state.written < size {
            // Gives back what was reserved and not used.
            try SystemCall.check { ftruncate(file.descriptor, off_t(state.written)) }
        }
        try SystemCall.check { fchmod(file.descriptor, FileMode.ofNewFiles) }
        try SystemCall.check { fsync(file.descriptor) }
        guard isStillOurs() else {
            throw FileError(
                code: .writeFailed,
                message: "somebody moved or replaced \"\(DisplayName.escape(partialName))\" in "
                    + "\"\(DisplayName.escape(directoryPath))\" while it was being received: receive it again"
            )
        }
        let final = try giveFinalName()
        state.file = nil
        try syncDirectory()
        return directoryPath.hasSuffix("/") ? directoryPath + final : directoryPath + "/" + final
    }

    private func giveFinalName() throws -> String {
        for number in 0...Defaults.maximumNumberedNames {
            let candidate = number == 0 ? name.text : name.numbered(number)
            if try NewName.give(candidate, to: partialName, in: directory) { return candidate }
        }
        throw FileError(
            code: .cannotCreate,
            message: "there are too many files called \"\(DisplayName.escape(name.text))\" in "
                + "\"\(DisplayName.escape(directoryPath))\": move them, or name another folder with --output"
        )
    }

    private func syncDirectory() throws {
        do {
            try SystemCall.check { fsync(directory.descriptor) }
        } catch {
            // Some file systems have no such thing as a folder that is not yet on the disk.
            if error.number != EINVAL && error.number != EROFS { throw error }
        }
    }

    /// Whether the `.part` name still means the file that was made.
    private func isStillOurs() -> Bool {
        var status = stat()
        guard unsafe fstatat(directory.descriptor, partialName, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return false }
        return OpenFile.Identity(status) == identity
    }

    private func removePartial() {
        if isStillOurs() { unsafe unlinkat(directory.descriptor, partialName, 0) }
    }

    private static func createPartial(
        _ name: SafeFileName, in directory: OpenFile
    ) throws(SystemFailure) -> (String, OpenFile) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        for _ in 0..<Defaults.partialNameTries {
            let partialName = name.partial(tag: randomTag())
            do {
                return (partialName, try OpenFile(partialName, in: directory, flags: flags, mode: 0o600))
            } catch  where error.number == EEXIST {
                continue
            }
        }
        throw SystemFailure(number: EEXIST)
    }

    private static func randomTag() -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<12).map { _ in alphabet[Int.random(in: alphabet.indices)] })
    }

    private var isOver: FileError {
        FileError(code: .writeFailed, message: "\"\(DisplayName.escape(name.text))\" was written to after its end")
    }

    private func inWords<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let failure as SystemFailure {
            let shown = DisplayName.escape(name.text)
            let place = DisplayName.escape(directoryPath)
            if failure.isFull {
                throw FileError(
                    code: .noSpace,
                    message: "the disk of \"\(place)\" is full, \"\(shown)\" does not fit: make room, then try again"
                )
            }
            throw FileError(code: .writeFailed, message: "writing \"\(shown)\" in \"\(place)\" failed: \(failure)")
        }
    }
}
