// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TransferClient

/// Where received bytes go. One writer at a time; after ``finish()`` or ``discard()`` nothing more is written.
protocol ContentSink: Sendable {
    /// Takes `buffer`, which may reach the disk later, but before ``finish()`` returns. Throws `file`.
    func write(_ buffer: ByteBuffer) async throws(ClientError)
    /// Makes everything durable and gives the file its final name, to be called only once the content is verified. Throws
    /// `file`; then ``discard()`` is still to be called, and the sender is to be told that it is not stored. From
    /// here on the content is never thrown away: what cannot get its name, or may not be safe on the disk, is kept, and the
    /// error says where. Only what has no room on the disk after all, or was removed by others, is not there any more.
    func finish() async throws(ClientError) -> StoredContent
    /// Whether everything can still be taken back, so that the same content may come once more from its beginning.
    var isRepeatable: Bool { get }
    /// Whether any content has come.
    var hasContent: Bool { get }
    /// Removes whatever this sink created and does not keep; harmless after ``finish()`` and when repeated.
    func discard() async
}
