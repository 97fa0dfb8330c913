// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import PrivateFiles
import Synchronization
import TransferClient
import WSProtocol

/// Bytes that can be read once.
protocol ReadOnce: Sendable {
    /// Whether a read may take for ever.
    var mayWait: Bool { get }
    /// Whether a read would wait now.
    var wouldWait: Bool { get }
    /// Reads 1 to `length` bytes behind what is in `buffer`, however long that takes; returns 0 at the end.
    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int
}

/// What is read in the place of files: what has been read cannot be read again.
final class SourcePipe: Sendable {
    private let content: any ReadOnce
    private let branch: InputBranch?
    private let begun = Atomic(false)
    private let ended = Atomic(false)

    init(_ content: any ReadOnce) { (self.content, branch) = (content, nil) }

    /// - Parameter descriptor: stays the caller's.
    convenience init(descriptor: Int32) { self.init(DescriptorBytes(descriptor)) }

    /// What one of several receivers gets of it.
    init(_ input: SharedInput, branch number: Int) {
        input.add(number)
        let branch = InputBranch(input: input, number: number)
        (content, self.branch) = (branch, branch)
    }

    /// Whether anything may have been taken out of it: a read that is given up may still take bytes away.
    var hasBegun: Bool { begun.load(ordering: .acquiring) }

    /// Whether all of it was taken out.
    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    /// Whether a read may take for ever.
    var mayWait: Bool { content.mayWait }

    /// Whether a read would wait.
    var isEmpty: Bool { content.wouldWait }

    /// Whether others read the same, so that ``ready()`` has to be waited for before a read.
    var isShared: Bool { branch != nil }

    /// Reads 1 to `length` bytes behind what is in `buffer`, however long that takes; returns 0 at the end.
    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        // A read that fails has taken nothing out of what is shared.
        if !isShared { begun.store(true, ordering: .releasing) }
        let count = try content.read(length, into: &buffer)
        begun.store(true, ordering: .releasing)
        if count == 0 { ended.store(true, ordering: .releasing) }
        return count
    }

    // MARK: - Where others read the same

    /// Waits until a read does not have to, or the task is cancelled.
    func ready() async { if let branch { await branch.input.ready(branch.number) } }

    /// Waits until it is dropped, as others waited for it too long. False when the task is cancelled before.
    func dropped() async -> Bool {
        if let branch { await branch.input.dropped(branch.number) } else { false }
    }

    /// Calls `action` when it is dropped.
    func whenDropped(_ action: @escaping @Sendable () -> Void) {
        if let branch { branch.input.whenDropped(branch.number, action) }
    }

    /// The receiver has got further.
    func moved() { if let branch { branch.input.moved(branch.number) } }

    /// Nothing more will be read.
    func close() { if let branch { branch.input.remove(branch.number) } }

    /// Why `peer` gets no more of it when it is dropped.
    static func dropping(_ peer: PeerName) -> ClientError {
        let time = AttemptFailure.description(of: Defaults.sharedPatience)
        return .transfer(
            TransferFailure(
                code: .timedOut, "\(peer) took nothing for \(time) while the other receivers waited for it",
                "run the command again for \(peer) alone"
            ))
    }
}

/// What one of several receivers gets of an input.
private struct InputBranch: ReadOnce {
    let input: SharedInput
    let number: Int

    let mayWait = true

    var wouldWait: Bool { input.isEmpty(number) }

    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        try input.read(length, of: number, into: &buffer)
    }
}

/// Standard input, or another pipe.
struct DescriptorBytes: ReadOnce {
    private let descriptor: Int32

    /// - Parameter descriptor: stays the caller's.
    init(_ descriptor: Int32) { self.descriptor = descriptor }

    let mayWait = true

    var wouldWait: Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, 0) == 0
    }

    func read(_ length: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        let descriptor = descriptor
        while true {
            do {
                return try unsafe buffer.read(length) { space, length in
                    unsafe Glibc.read(descriptor, space, length)
                }
            } catch {
                // Another process made the shared descriptor non-blocking.
                guard error.code == EAGAIN else { throw error }
                var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                try SystemError.check { unsafe poll(&waiting, 1, -1) }
            }
        }
    }
}
