// SPDX-License-Identifier: Apache-2.0

// Faults that a sanitizer has to find, one for each argument. No target of the package has this file: the proof
// compiles it by itself and runs it before everything else.

private import Foundation
private import Synchronization

/// What is written without a lock of its own.
private final class Counters: @unchecked Sendable {
    private var values = [Int](repeating: 0, count: 16)
    var sum: Int { values.reduce(0, +) }

    /// Several words, since a sanitizer may miss one.
    @inline(never)
    func count() {
        for index in values.indices { values[index] &+= 1 }
    }

    /// So often that two who begin at about the same time do it side by side, and, with a lock, that each has to wait
    /// for the other, now and then in the kernel. Each time is short: of what was long ago, a sanitizer knows no more.
    @inline(never)
    func countOften(holding lock: Lock? = nil) {
        for _ in 0..<50_000 {
            if let lock { lock.held(count) } else { count() }
        }
    }
}

/// A lock that threads share.
private final class Lock: Sendable {
    private let mutex = Mutex(())

    func held(_ body: () -> Void) { mutex.withLock { _ in body() } }
}

/// Two of them hold each other.
private final class Holder {
    var other: Holder?
}

@inline(never)
private func bytes(_ count: Int) -> UnsafeMutablePointer<UInt8> {
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: count)
    memory.initialize(repeating: 1, count: count)
    return memory
}

/// Reads the byte behind an allocation.
@inline(never)
private func overflow(_ count: Int) -> Int {
    let memory = bytes(16)
    defer { memory.deallocate() }
    return Int(memory[15 + count])
}

/// Reads what was freed.
@inline(never)
private func useAfterFree(_ count: Int) -> Int {
    let memory = bytes(16)
    memory.deallocate()
    return Int(memory[count])
}

/// Frees twice.
@inline(never)
private func doubleFree() -> Int {
    let memory = bytes(16)
    memory.deallocate()
    memory.deallocate()
    return 0
}

/// Loses memory. More than once: a register or an old word of the stack may still hold one address.
@inline(never)
private func leak(_ count: Int) -> Int {
    (0..<64).reduce(0) { sum, _ in sum + Int(bytes(1000)[count]) }
}

/// Loses objects.
@inline(never)
private func cycle() -> Int {
    for _ in 0..<64 {
        let (one, two) = (Holder(), Holder())
        (one.other, two.other) = (two, one)
    }
    return 0
}

/// Counts on two threads, of which as many hold a lock for it.
private func race(locking: Int) -> Int {
    let counters = Counters()
    let lock = Lock()
    let ends = DispatchSemaphore(value: 0)
    for thread in 0..<2 {
        Thread {
            counters.countOften(holding: thread < locking ? lock : nil)
            ends.signal()
        }
        .start()
    }
    ends.wait()
    ends.wait()
    return counters.sum
}

/// Counts in two tasks.
private func taskRace() async -> Int {
    let counters = Counters()
    await withTaskGroup(of: Void.self) { group in
        group.addTask { counters.countOften() }
        group.addTask { counters.countOften() }
    }
    return counters.sum
}

/// The program.
@main
private enum Planted {
    static func main() async {
        // One, which the compiler does not know.
        let count = CommandLine.arguments.count - 1
        switch CommandLine.arguments.last {
        case "overflow": print(overflow(count))
        case "use-after-free": print(useAfterFree(count))
        case "double-free": print(doubleFree())
        case "leak": print(leak(count))
        case "cycle": print(cycle())
        case "race": print(race(locking: 0))
        case "half-locked": print(race(locking: 1))
        case "locked": print(race(locking: 2))
        case "task-race": print(await taskRace())
        default: print("nothing")
        }
    }
}
