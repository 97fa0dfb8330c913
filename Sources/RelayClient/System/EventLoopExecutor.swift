// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Runs tasks on one event loop, for those that are little more than what a channel of that loop says and hears: nothing
/// then has to wake a thread for each step. Such a task must not block: blocking calls go through ``BlockingWork``.
final class EventLoopExecutor: TaskExecutor {
    let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
