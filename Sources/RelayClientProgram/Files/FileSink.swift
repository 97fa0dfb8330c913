// SPDX-License-Identifier: Apache-2.0

private import CLinux
import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TransferClient

/// A received file: content goes into a hidden `.part` file of an unguessable name that only its owner can read, and
/// gets its final name, without replacing anything, once it is complete and on the disk. Content that was verified is
/// not removed because something after that was refused.
final class FileSink: ContentSink {
    let isRepeatable = true

    private let name: SafeFileName
    private let partialName: String
    private let size: UInt64?
    private let folder: ReceiveFolder
    private let remarks: Remarks
    private let calls: FileCalls
    private let identity: OpenFile.Identity
    private let state: Mutex<State>
    private let hasBegun = Atomic(false)

    private struct State {
        /// Nil once finished, discarded, or kept under the part's name.
        var file: OpenFile?
        var gathered: [ByteBuffer] = []
        var gatheredBytes = 0
        var written: UInt64 = 0
        var isReserved = false
    }

    /// Creates the `.part` file in `folder`. What is not right although nothing has failed is told to `remarks`.
    init(
        name: SafeFileName, size: UInt64?, folder: ReceiveFolder, remarks: Remarks, calls: FileCalls = .system
    ) throws(SystemError) {
        let (partialName, file) = try Self.createPartial(name, in: folder.handle)
        self.name = name
        self.partialName = partialName
        self.size = size
        self.folder = folder
        self.remarks = remarks
        self.calls = calls
        identity = try file.identity()
        state = Mutex(State(file: file))
    }

    deinit {
        let file = state.withLock { state in state.file }
        if file != nil { removePartial() }
    }

    var hasContent: Bool { hasBegun.load(ordering: .relaxed) }

    /// Takes `buffer`; goes to a blocking thread only once enough has gathered.
    func write(_ buffer: ByteBuffer) async throws(ClientError) {
        hasBegun.store(true, ordering: .relaxed)
        let isFull = try state.withLock { state throws(ClientError) in
            guard state.file != nil else { throw .file(isOver) }
            state.gathered.append(buffer)
            state.gatheredBytes += buffer.readableBytes
            return state.gatheredBytes >= Defaults.gatheredBytes || state.gathered.count >= Defaults.gatheredBuffers
        }
        guard isFull else { return }
        try await BlockingWork.files.run { [self] in
            try describingFailure { try state.withLock { state in try flush(&state) } }
        }
    }

    func finish() async throws(ClientError) -> StoredContent {
        try await BlockingWork.files.run { [self] in
            try state.withLock { state in
                try describingFailure { try flush(&state) }
                return try complete(&state)
            }
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
                try unsafe SystemError.writeAll(bytes, to: file.descriptor)
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
            try SystemError.check { CLinux_reserve(file.descriptor, length) }
        } catch {
            // Not every file system can; there the writes will tell.
            if error.isFull { throw error }
        }
    }

    /// Everything after the last byte: what may fail without harm is a remark, what may not keeps the content.
    private func complete(_ state: inout State) throws -> StoredContent {
        guard let file = state.file else { throw isOver }
        if let size, state.written < size {
            // Gives back what was reserved and not used; the size is right already.
            _ = calls.truncate(file.descriptor, Int64(clamping: state.written))
        }
        do {
            try SystemError.check { calls.setMode(file.descriptor, FileMode.ofNewFiles) }
        } catch {
            remarks.say(
                "files in \(place) have the permissions that its file system gives them, as others are refused "
                    + "(\(error.phrase))",
                once: .permissions
            )
        }
        do {
            try confirm { calls.syncFile(file.descriptor) }
        } catch {
            let whole = "\(shown) arrived whole, but the disk did not confirm that it holds all of it (\(error.phrase))"
            let advice = error.isFull ? "make room" : "look at the disk"
            throw keep(&state, error.isFull ? .noSpace : .writeFailed, whole, "\(advice), and receive it again")
        }
        guard isStillOurs() else { throw moved(file) }
        let final = try giveFinalName(&state)
        state.file = nil
        do {
            try confirm { calls.syncFolder(folder.handle.descriptor) }
        } catch {
            // The content is on the disk, and has its name; another attempt would only make a second file.
            remarks.say(
                "\(quoted(path: folder.path(of: final))) is stored, but the disk did not confirm its name (\(error.phrase)), "
                    + "which a power cut may take: look at the disk"
            )
        }
        return StoredContent(final, in: folder, identity: identity)
    }

    /// Waits until the disk has it. Where a file system cannot tell, that is a remark.
    private func confirm(_ sync: () -> Int32) throws(SystemError) {
        do {
            try SystemError.check(sync)
        } catch  where error.isUnsupported {
            remarks.say(
                "the file system of \(place) does not say when files are on the disk (\(error.phrase)): a power cut may "
                    + "take what was just received",
                once: .durability
            )
        }
    }

    private func giveFinalName(_ state: inout State) throws -> String {
        var failure: SystemError?
        for number in 0...Defaults.maximumNumberedNames {
            let candidate = number == 0 ? name.text : name.numbered(number)
            do {
                switch try NewName.give(candidate, to: partialName, in: folder.handle, calls: calls) {
                case .taken: continue
                case .given(leftover: nil): return candidate
                case .given(leftover: .some(let why)):
                    remarks.say("\(keptPath) is left over and could not be removed (\(why))")
                    return candidate
                }
            } catch {
                failure = error
            }
            break
        }
        guard let failure else {
            let taken = "there are too many files called \(shown) in \(place), and what arrived has no name of its own"
            throw keep(&state, .cannotCreate, taken, "rename that one")
        }
        let refused = "\(shown) arrived whole, but cannot get its name (\(failure.phrase))"
        throw keep(&state, .cannotCreate, refused, "rename that one")
    }

    /// Leaves the content where it is, and makes the error that says so.
    private func keep(_ state: inout State, _ code: FileError.Code, _ what: String, _ advice: String) -> FileError {
        state.file = nil
        return FileError(code: code, message: "\(what); it is kept as \(keptPath): \(advice)")
    }

    /// The part file has another name now, or none.
    private func moved(_ file: OpenFile) -> FileError {
        let what = "\(keptPath) was moved or replaced while it was being received"
        let place = (try? file.status()).flatMap { status in
            status.st_nlink > 0 ? file.path() : nil
        }
        guard let place else { return FileError(code: .writeFailed, message: what + ": receive it again") }
        return FileError(code: .writeFailed, message: what + "; it is whole now, and called \(quoted(path: place))")
    }

    /// Whether the `.part` name still means the file that was made.
    private func isStillOurs() -> Bool {
        OpenFile.status(of: partialName, in: folder.handle).map(OpenFile.Identity.init) == identity
    }

    private func removePartial() {
        if isStillOurs() { unsafe unlinkat(folder.handle.descriptor, partialName, 0) }
    }

    private static func createPartial(
        _ name: SafeFileName, in directory: OpenFile
    ) throws(SystemError) -> (String, OpenFile) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW
        for _ in 0..<Defaults.partialNameTries {
            let partialName = name.partial(tag: SafeFileName.randomTag())
            do {
                return (partialName, try OpenFile(partialName, in: directory, flags: flags, mode: 0o600))
            } catch  where error.code == EEXIST {
                continue
            }
        }
        throw SystemError(code: EEXIST)
    }

    private var isOver: FileError {
        FileError(code: .writeFailed, message: "\(shown) was written to after its end")
    }

    private var shown: String { quoted(name.text) }
    private var place: String { quoted(folder.path) }

    private func quoted(_ text: String) -> String { "\"\(DisplayName.escape(text))\"" }
    /// The part file's path.
    private var keptPath: String { quoted(path: folder.path(of: partialName)) }

    private func quoted(path: String) -> String { "\"\(DisplayName.path(path))\"" }

    private func describingFailure<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let failure as SystemError {
            throw FileError.writing(name.text, in: folder.path, failure)
        }
    }
}
