// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// How fast bytes came lately: the mean over the last few seconds, which falls to zero when nothing comes any more.
struct RateEstimator: Hashable, Sendable {
    private struct Sample: Hashable {
        var time: NIODeadline
        var bytes: UInt64
    }

    private let window: TimeAmount
    private var samples: [Sample] = []
    private var latest: UInt64 = 0

    /// Looks back `window`.
    init(window: TimeAmount = Defaults.rateWindow) { self.window = window }

    /// In all, `bytes` have come by `now`. Fewer than before means that it began anew.
    mutating func record(bytes: UInt64, now: NIODeadline) {
        if bytes < latest { samples.removeAll() }
        latest = bytes
        if samples.last.map({ last in now >= last.time + Defaults.rateSampleInterval }) ?? true {
            samples.append(Sample(time: now, bytes: bytes))
        }
        // One sample from before the window stays, as what the window's bytes are counted from.
        while samples.count > 1, samples[1].time + window <= now { samples.removeFirst() }
    }

    /// Bytes a second; nil while there is too little to say.
    func bytesPerSecond(now: NIODeadline) -> UInt64? {
        guard let base = samples.last(where: { $0.time + window <= now }) ?? samples.first,
            now >= base.time + Defaults.rateSampleInterval
        else { return nil }
        let seconds = Double((now - base.time).nanoseconds) / 1e9
        return UInt64(exactly: (Double(latest - base.bytes) / seconds).rounded())
    }
}
