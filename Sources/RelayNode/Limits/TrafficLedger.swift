// SPDX-License-Identifier: Apache-2.0

import Dispatch
import FoundationEssentials
package import NIOCore
import Pacing
package import StreamRelay
import Synchronization
package import TransferBroker
package import WSProtocol

/// Keeps the bytes that users have moved in a day beyond the life of this process.
package protocol TrafficStore: Sendable {
    /// What there is of `day` (days since 1970) as this process starts.
    func load(day: Int64) -> [PeerName: UInt64]
    /// Adds to what there is. Returns what that makes, where others count as well.
    func add(_ moved: [PeerName: UInt64], day: Int64) async -> [PeerName: UInt64]
    /// What there is of `name`, where others count as well; nil where that is known already, or cannot be found out.
    func sum(of name: PeerName, day: Int64) async -> UInt64?
}

extension TrafficStore {
    package func sum(of name: PeerName, day: Int64) async -> UInt64? { nil }
}

/// Nothing is kept.
package struct NoTrafficStore: TrafficStore {
    package init() {}
    package func load(day: Int64) -> [PeerName: UInt64] { [:] }
    package func add(_ moved: [PeerName: UInt64], day: Int64) async -> [PeerName: UInt64] { [:] }
}

/// How many bytes each user, and each address, moves: in a second and in a day. A transfer counts for its sender and
/// for its receiver, once where they are the same. For any thread.
package final class TrafficLedger: Sendable {
    /// Whose bytes are counted.
    enum Key: Hashable, Sendable {
        case user(PeerName)
        case address(String)
    }

    private struct State {
        var day: Int64
        /// Bytes of the day that are written down, or were found.
        var written: [PeerName: UInt64]
        /// Bytes of the day that addresses have moved, which are not written down.
        var ofAddresses: [String: UInt64] = [:]
        var meters: [Key: TrafficMeter] = [:]
        var isFlushing = false
        /// When it was last asked what others have counted of a user.
        var asked: [PeerName: NIODeadline] = [:]
    }

    private let state: Mutex<State>
    private let limits: LimitControl
    private let store: any TrafficStore
    private let reports: LimitReports
    private let today: @Sendable () -> Int64

    /// - Parameters:
    ///   - today: the day by the calendar, UTC, in days since 1970.
    package init(
        limits: LimitControl, store: any TrafficStore, reports: LimitReports,
        today: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) / 86_400 }
    ) {
        self.limits = limits
        self.store = store
        self.reports = reports
        self.today = today
        let day = today()
        state = Mutex(State(day: day, written: store.load(day: day)))
    }

    /// Writes down what was moved from now on, every ``Defaults/Traffic/interval``, on `loop`.
    package func start(on loop: any EventLoop) {
        let interval = Defaults.Traffic.interval
        loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { [weak self] _ in
            guard let self else { return }
            Task { await self.flush() }
        }
    }

    /// Who counts the bytes of a stream between `owners`.
    package func meters(of owners: [Owner]) -> [any StreamMeter] {
        var keys: [Key] = []
        for owner in owners {
            for key in [Key.user(owner.name)] + (owner.address.map { [Key.address($0)] } ?? [])
            where !keys.contains(key) { keys.append(key) }
        }
        return state.withLock { state in
            keys.map { key in
                let meter = state.meters[key] ?? TrafficMeter(of: key, limits: limits, reports: reports)
                state.meters[key] = meter
                meter.begin()
                return meter
            }
        }
    }

    /// Bytes that `name` has moved today, as far as this node knows.
    package func bytesToday(of name: PeerName) -> UInt64 {
        turn()
        return state.withLock { ($0.written[name] ?? 0) &+ ($0.meters[.user(name)]?.unwritten ?? 0) }
    }

    /// Whose limit of a day is used up, so that nothing new may begin; nil when there is room.
    package func excessOfDay(_ owner: Owner) -> Limit.Scope? {
        refresh(owner.name)
        if let most = limits.most(.day, of: owner.name), bytesToday(of: owner.name) >= UInt64(clamping: most) {
            return .user
        }
        guard let address = owner.address, let most = limits.mostOfAddress(.day) else { return nil }
        turn()
        let moved = state.withLock {
            ($0.ofAddresses[address] ?? 0) &+ ($0.meters[.address(address)]?.unwritten ?? 0)
        }
        return moved >= UInt64(clamping: most) ? .address : nil
    }

    /// Finds out what others have counted of `name`, unless that was done a moment ago: it counts from the next
    /// question on.
    package func refresh(_ name: PeerName) {
        guard limits.most(.day, of: name) != nil else { return }
        let now = NIODeadline.now()
        let day = state.withLock { state -> Int64? in
            if let asked = state.asked[name], now - asked < Defaults.Traffic.freshness { return nil }
            state.asked[name] = now
            return state.day
        }
        guard let day else { return }
        Task {
            guard let sum = await store.sum(of: name, day: day) else { return }
            state.withLock { state in
                guard state.day == day else { return }
                state.written[name] = max(sum, state.written[name] ?? 0)
            }
        }
    }

    /// A new day begins with nothing.
    private func turn() {
        let today = today()
        state.withLock { state in
            guard state.day != today else { return }
            (state.day, state.written, state.ofAddresses) = (today, [:], [:])
            for meter in state.meters.values { _ = meter.take() }
        }
    }

    /// Writes down what was moved since the last time, and forgets who moves nothing.
    /// - Returns: false when it was being done already, and nothing more was written down.
    @discardableResult
    package func flush() async -> Bool {
        turn()
        let now = NIODeadline.now()
        let taken = state.withLock { state -> ([PeerName: UInt64], Int64)? in
            guard !state.isFlushing else { return nil }
            state.asked = state.asked.filter { now - $0.value < Defaults.Traffic.freshness }
            state.isFlushing = true
            var moved: [PeerName: UInt64] = [:]
            for (key, meter) in state.meters {
                let bytes = meter.take()
                switch key {
                case .user(let name) where bytes > 0:
                    moved[name] = bytes
                    state.written[name, default: 0] &+= bytes
                case .address(let address) where bytes > 0: state.ofAddresses[address, default: 0] &+= bytes
                case .user, .address: break
                }
                if meter.isIdle(now: now) { state.meters[key] = nil }
            }
            return (moved, state.day)
        }
        guard let (moved, day) = taken else { return false }
        let sums = await store.add(moved, day: day)
        state.withLock { state in
            state.isFlushing = false
            guard state.day == day else { return }
            for (name, sum) in sums { state.written[name] = max(sum, state.written[name] ?? 0) }
        }
        return true
    }
}

/// Counts the bytes of one user's, or one address's, streams. For any thread.
final class TrafficMeter: StreamMeter {
    private struct State {
        var pace: BytePace
        var bytes: UInt64 = 0
        var streams = 0
        /// Bytes a second, and when that was so: it is asked for anew when limits have changed, not for each piece of
        /// content.
        var rate: (most: Int64?, edition: UInt64)?
    }

    private let state = Mutex(State(pace: BytePace(now: .now())))
    private let key: TrafficLedger.Key
    private let limits: LimitControl
    private let reports: LimitReports

    init(of key: TrafficLedger.Key, limits: LimitControl, reports: LimitReports) {
        self.key = key
        self.limits = limits
        self.reports = reports
    }

    func passed(_ bytes: Int, now: NIODeadline) -> TimeAmount {
        // Before the rate: what changes in between is seen the next time.
        let edition = limits.edition
        let wait = state.withLock { state -> TimeAmount in
            state.bytes &+= UInt64(bytes)
            if state.rate?.edition != edition { state.rate = (most, edition) }
            guard let rate = state.rate?.most else { return .zero }
            return state.pace.spend(
                bytes, at: rate, burst: rate * Defaults.Traffic.burst, longest: Defaults.Traffic.longestWait, now: now)
        }
        if wait > .zero { hold() }
        return wait
    }

    /// Bytes a second, as it is now; nil without a limit.
    private var most: Int64? {
        switch key {
        case .user(let name): limits.most(.rate, of: name)
        case .address: limits.mostOfAddress(.rate)
        }
    }

    /// A stream has to wait.
    private func hold() {
        switch key {
        case .user(let name): reports.met(Limit(.rate, of: .user), name: name)
        case .address(let address): reports.met(Limit(.rate, of: .address), address: address)
        }
    }

    /// A stream begins.
    func begin() { state.withLock { $0.streams += 1 } }

    func ended() { state.withLock { $0.streams -= 1 } }

    /// Bytes that are not written down.
    var unwritten: UInt64 { state.withLock { $0.bytes } }

    /// Bytes that are not written down; they count as written down from now on.
    func take() -> UInt64 {
        state.withLock { state in
            defer { state.bytes = 0 }
            return state.bytes
        }
    }

    /// Whether there is nothing to remember.
    func isIdle(now: NIODeadline) -> Bool {
        state.withLock { $0.streams == 0 && $0.bytes == 0 && $0.pace.isFullAt <= now }
    }
}
