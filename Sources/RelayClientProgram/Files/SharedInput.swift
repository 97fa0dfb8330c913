// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import PrivateFiles
import Synchronization

/// Standard input that goes to several receivers: read once, at the pace of the slowest, who is dropped when it takes
/// nothing for too long while others wait for it. What the first has read and the last has not is kept, which is never
/// more than a few megabytes.
final class SharedInput: Sendable {
    /// What one receiver has of it.
    private struct Branch {
        var position: UInt64 = 0
        /// When it took something last, or its receiver said that it got further.
        var movedAt: NIODeadline
        /// When it took something last.
        var takenAt: NIODeadline
        /// Finished when there is something for it, or when it is dropped.
        var waiter: AsyncStream<Void>.Continuation?
        /// Finished when it is dropped.
        var watchers: [AsyncStream<Void>.Continuation] = []
        var isDropped = false
        var whenDropped: (@Sendable () -> Void)?
    }

    private struct State {
        /// Each of at most ``Defaults/sharedPiece`` bytes, but for the last read's.
        var pieces: [ByteBuffer] = []
        /// Where the first of them begins, and the last one ends.
        var (start, end) = (UInt64(0), UInt64(0))
        var hasEnded = false
        var failure: SystemError?
        var branches: [Int: Branch] = [:]
        var isReading = false
        /// Since when someone waits for the slowest.
        var heldSince: NIODeadline?
        var hasTimer = false
    }

    private let descriptor: Int32
    private let window: UInt64
    private let reserve: UInt64
    private let patience: TimeAmount
    private let clock: any SessionClock
    private let work: BlockingWork
    private let state = Mutex(State())

    /// - Parameters:
    ///   - descriptor: stays the caller's.
    ///   - window: how many bytes the fastest may be ahead of the slowest.
    ///   - reserve: how many of these it gets only now and then, so that its stream is not taken for one that has
    ///     stopped while it waits.
    ///   - patience: how long others wait for one that takes nothing.
    init(
        descriptor: Int32, window: UInt64 = Defaults.sharedWindow, reserve: UInt64 = Defaults.sharedReserve,
        patience: TimeAmount = Defaults.sharedPatience,
        clock: any SessionClock = EventLoopClock(loop: MultiThreadedEventLoopGroup.singleton.any()),
        work: BlockingWork = .input
    ) {
        self.descriptor = descriptor
        self.window = window
        self.reserve = min(reserve, window)
        self.patience = patience
        self.clock = clock
        self.work = work
    }

    /// Makes the branch of that number, which begins at the beginning: all of them before anything is read.
    func add(_ branch: Int) {
        state.withLock { [now = clock.now()] in $0.branches[branch] = Branch(movedAt: now, takenAt: now) }
    }

    /// A branch wants no more, and no other one waits for it.
    func remove(_ branch: Int) {
        let gone = state.withLock { state in
            let gone = state.branches.removeValue(forKey: branch)
            trim(&state)
            return gone
        }
        for each in [gone?.waiter].compactMap(\.self) + (gone?.watchers ?? []) { each.finish() }
        readOn()
    }

    /// Calls `action` when the branch is dropped.
    func whenDropped(_ branch: Int, _ action: @escaping @Sendable () -> Void) {
        state.withLock { $0.branches[branch]?.whenDropped = action }
    }

    /// The receiver of a branch has got further, though it may not have taken more yet.
    func moved(_ branch: Int) { state.withLock { [now = clock.now()] in $0.branches[branch]?.movedAt = now } }

    /// Whether a read would have to wait.
    func isEmpty(_ branch: Int) -> Bool { state.withLock { [now = clock.now()] in !isReady($0, branch, now) } }

    /// Whether someone waits for the slowest.
    var isHeld: Bool { state.withLock { $0.heldSince != nil } }

    /// Waits until there is something for a branch, its end, or none any more; or until the task is cancelled.
    func ready(_ branch: Int) async {
        while !Task.isCancelled {
            let (signal, continuation) = AsyncStream<Void>.makeStream()
            let hasCome = state.withLock { [now = clock.now()] state in
                if isReady(state, branch, now) { return true }
                state.branches[branch]?.waiter = continuation
                waitForReserve(state, branch)
                return false
            }
            if hasCome { return }
            readOn()
            for await _ in signal {}
            state.withLock { $0.branches[branch]?.waiter = nil }
        }
    }

    /// Waits until a branch is dropped, and then is true; false when the task is cancelled before.
    func dropped(_ branch: Int) async -> Bool {
        let (signal, continuation) = AsyncStream<Void>.makeStream()
        let isDropped = state.withLock { state in
            if state.branches[branch]?.isDropped == true { return true }
            state.branches[branch]?.watchers.append(continuation)
            return false
        }
        if isDropped { return true }
        for await _ in signal {}
        return state.withLock { $0.branches[branch]?.isDropped == true }
    }

    /// Reads 1 to `length` bytes that are there; 0 at the end. To be called when there is something.
    func read(_ length: Int, of branch: Int, into buffer: inout ByteBuffer) throws(SystemError) -> Int {
        let result = state.withLock { [now = clock.now()] state -> Result<Int, SystemError> in
            guard let position = state.branches[branch]?.position, state.branches[branch]?.isDropped == false else {
                return .failure(SystemError(code: EPIPE))
            }
            guard position < state.end else {
                if let failure = state.failure { return .failure(failure) }
                return state.hasEnded ? .success(0) : .failure(SystemError(code: EAGAIN))
            }
            let most = mostTaken(state, branch, now)
            guard most > 0 else { return .failure(SystemError(code: EAGAIN)) }
            let length = min(length, most)
            var (left, offset) = (length, position - state.start)
            for piece in state.pieces where left > 0 {
                let size = UInt64(piece.readableBytes)
                guard offset < size else {
                    offset -= size
                    continue
                }
                let count = min(left, Int(size - offset))
                if let slice = piece.getSlice(at: piece.readerIndex + Int(offset), length: count) {
                    buffer.writeImmutableBuffer(slice)
                }
                (left, offset) = (left - count, 0)
            }
            state.branches[branch]?.position += UInt64(length - left)
            state.branches[branch]?.movedAt = now
            state.branches[branch]?.takenAt = now
            trim(&state)
            return .success(length - left)
        }
        readOn()
        return try result.get()
    }

    // MARK: - Reading

    private func isReady(_ state: State, _ branch: Int, _ now: NIODeadline) -> Bool {
        guard let known = state.branches[branch], !known.isDropped else { return true }
        guard known.position < state.end else { return state.hasEnded || state.failure != nil }
        return mostTaken(state, branch, now) > 0
    }

    /// How many bytes a branch may take now of those that it has not taken, if there are so many: all, but for the
    /// reserve of one that is far ahead of the slowest.
    private func mostTaken(_ state: State, _ branch: Int, _ now: NIODeadline) -> Int {
        guard let known = state.branches[branch], let slowest = slowest(state), !state.hasEnded, state.failure == nil
        else { return .max }
        let free = slowest.addingReportingOverflow(window - reserve).partialValue
        if known.position < free { return Int(clamping: free - known.position) }
        return now >= known.takenAt + Defaults.sharedReserveInterval ? Defaults.sharedPiece : 0
    }

    /// Lets a branch take a piece of its reserve in time, if that is what it waits for.
    private func waitForReserve(_ state: State, _ branch: Int) {
        guard let known = state.branches[branch], known.position < state.end else { return }
        _ = clock.wake(at: known.takenAt + Defaults.sharedReserveInterval) { [weak self] in self?.wake(branch) }
    }

    private func wake(_ branch: Int) {
        let waiter = state.withLock { [now = clock.now()] state in
            isReady(state, branch, now) ? state.branches[branch]?.waiter : nil
        }
        waiter?.finish()
    }

    /// Of those that hold up others.
    private func slowest(_ state: State) -> UInt64? {
        state.branches.values.lazy.filter { !$0.isDropped }.map(\.position).min()
    }

    private func room(_ state: State) -> Int {
        guard let slowest = slowest(state), !state.hasEnded, state.failure == nil else { return 0 }
        return Int(clamping: window - min(window, state.end - slowest))
    }

    /// Lets go of what all have.
    private func trim(_ state: inout State) {
        let slowest = slowest(state) ?? state.end
        while let first = state.pieces.first, state.start + UInt64(first.readableBytes) <= slowest {
            state.start += UInt64(first.readableBytes)
            state.pieces.removeFirst()
        }
    }

    /// Reads more, unless that is being done, or no branch wants it, or the slowest has to come first.
    private func readOn() {
        let (begins, ready) = state.withLock { [now = clock.now()] state in
            // The slowest has moved, perhaps.
            let ready = state.branches.filter { $0.value.waiter != nil && isReady(state, $0.key, now) }
            let waiters = ready.values.compactMap(\.waiter)
            let isWanted = state.branches.values.contains { $0.waiter != nil }
            guard !state.isReading, isWanted, room(state) > 0 else {
                hold(&state)
                return (false, waiters)
            }
            state.isReading = true
            return (true, waiters)
        }
        for waiter in ready { waiter.finish() }
        if begins { work.start { self.readAll() } }
    }

    /// Reads until there is no room, or no more. Blocks.
    private func readAll() {
        while true {
            let space = state.withLock { state in
                let space = room(state)
                if space == 0 {
                    state.isReading = false
                    hold(&state)
                }
                return space
            }
            guard space > 0 else { return }
            let result = read(min(space, Defaults.sharedPiece))
            let waiters = state.withLock { state in
                switch result {
                case .success(let piece) where piece.readableBytes == 0: state.hasEnded = true
                case .success(let piece): append(piece, to: &state)
                case .failure(let error): state.failure = error
                }
                if state.hasEnded || state.failure != nil { state.isReading = false }
                return state.branches.values.compactMap(\.waiter)
            }
            for waiter in waiters { waiter.finish() }
        }
    }

    private func append(_ piece: ByteBuffer, to state: inout State) {
        state.end += UInt64(piece.readableBytes)
        // Many small reads must not cost more than their bytes.
        if let last = state.pieces.indices.last,
            state.pieces[last].readableBytes + piece.readableBytes <= Defaults.sharedPiece
        {
            state.pieces[last].writeImmutableBuffer(piece)
        } else {
            state.pieces.append(piece)
        }
    }

    private func read(_ length: Int) -> Result<ByteBuffer, SystemError> {
        var buffer = ByteBufferAllocator().buffer(capacity: length)
        let pipe = SourcePipe(descriptor: descriptor)
        do throws(SystemError) {
            _ = try pipe.read(length, into: &buffer)
            return .success(buffer)
        } catch {
            return .failure(error)
        }
    }

    // MARK: - Who holds up the others

    /// Notes whether someone waits for the slowest, and from when on.
    private func hold(_ state: inout State) {
        let waits = state.branches.values.contains { $0.waiter != nil } && room(state) == 0 && !state.isReading
        guard waits || isInReserve(state), !state.hasEnded, state.failure == nil else {
            state.heldSince = nil
            return
        }
        guard state.heldSince == nil else { return }
        state.heldSince = clock.now()
        watch(&state, until: clock.now() + patience)
    }

    /// Whether someone gets no more than now and then a piece.
    private func isInReserve(_ state: State) -> Bool {
        guard reserve > 0, let slowest = slowest(state) else { return false }
        let free = slowest.addingReportingOverflow(window - reserve).partialValue
        return state.branches.values.contains { !$0.isDropped && $0.position >= free }
    }

    private func watch(_ state: inout State, until deadline: NIODeadline) {
        guard !state.hasTimer else { return }
        state.hasTimer = true
        _ = clock.wake(at: deadline) { [weak self] in self?.timePassed() }
    }

    /// Drops those that have held up the others for too long. Harmless at any time.
    func timePassed() {
        let now = clock.now()
        let dropped = state.withLock { state -> [Branch] in
            state.hasTimer = false
            guard let since = state.heldSince, let slowest = slowest(state) else { return [] }
            var dropped: [Branch] = []
            var next: NIODeadline?
            for (number, branch) in state.branches where !branch.isDropped && branch.position == slowest {
                let due = max(since, branch.movedAt) + patience
                guard due <= now else {
                    next = [next, due].compactMap(\.self).min()
                    continue
                }
                state.branches[number]?.isDropped = true
                dropped.append(branch)
            }
            trim(&state)
            if dropped.isEmpty, let next { watch(&state, until: next) }
            if !dropped.isEmpty { state.heldSince = nil }
            return dropped
        }
        for branch in dropped {
            for each in [branch.waiter].compactMap(\.self) + branch.watchers { each.finish() }
            branch.whenDropped?()
        }
        if !dropped.isEmpty { readOn() }
    }
}
