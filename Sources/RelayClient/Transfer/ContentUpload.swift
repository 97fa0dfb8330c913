// SPDX-License-Identifier: Apache-2.0

import WSProtocol

/// What carries one content into one transfer, from the relay's `start` on.
protocol ContentUpload: Sendable {
    /// Stops it, if it has not ended.
    func cut()
    /// The receiver has got further: it is worth waiting for the end.
    func receiverProgressed()
}

/// What an upload tells.
enum UploadEvent: Sendable {
    /// The stream stands, and bytes may flow.
    case streaming
    /// What the person is to see, from an upload that runs on an event loop.
    case report(TransferReport)
    /// It has ended, and why where it ended badly.
    case ended(SendMachine.UploadResult, (any Error)?)
    /// The last of all: nothing reads the content any more. What was sent, once that was everything, also where it did
    /// not end well.
    case stopped(ContentSummary?)
}
