// SPDX-License-Identifier: Apache-2.0

import NIOCore

/// Where received bytes go. One writer at a time; after ``finish()`` or ``discard()`` nothing more is written.
protocol ContentSink: Sendable {
    /// Takes `buffer`, which may reach the disk later, but before ``finish()`` returns. Throws ``FileError``.
    func write(_ buffer: ByteBuffer) async throws
    /// Makes everything durable and gives the file its final name, to be called only once the content is verified.
    /// Returns the final absolute path, or `-` for standard output. Throws ``FileError``; then ``discard()`` is still to
    /// be called, and nothing has the final name, unless it was the folder that could not be brought to the disk: then the
    /// whole content has it, but may lose it when the machine does, so nobody may be told that it is safe.
    func finish() async throws -> String
    /// Whether everything can still be taken back, so that the same content may come once more from its beginning.
    var isRepeatable: Bool { get }
    /// Removes whatever this sink created; harmless after ``finish()`` and when repeated.
    func discard() async
}
