// SPDX-License-Identifier: Apache-2.0

import Crypto

/// Numbers the chunks of one stream, and gives each its key. A chunk that is not full is the last one.
package struct ChunkNumbers: Sendable {
    private let content: SymmetricKey
    private var number: UInt64 = 0
    private var key: SymmetricKey
    /// Whether the last chunk was numbered.
    package private(set) var isComplete = false

    package init(of keys: AttemptKeys) { self.init(content: keys.content, first: 0) }

    /// - Parameter first: what tests begin with.
    init(content: SymmetricKey, first: UInt64) {
        self.content = content
        number = first
        key = Self.subkey(content, of: first)
    }

    /// The cipher of the next chunk.
    ///
    /// - Parameter plaintext: how many bytes it has; fewer than ``Chunk/plaintextLength`` end the stream.
    package mutating func next(plaintext length: Int) throws(SealingError) -> ChunkCipher {
        guard !isComplete, (0...Chunk.plaintextLength).contains(length) else { throw .behindLast }
        guard number < .max else { throw .tooManyChunks }
        isComplete = length < Chunk.plaintextLength
        let cipher = ChunkCipher(key: key, number: number, isLast: isComplete)
        number += 1
        if number % Chunk.chunksOfKey == 0 { key = Self.subkey(content, of: number) }
        return cipher
    }

    private static func subkey(_ content: SymmetricKey, of number: UInt64) -> SymmetricKey {
        var info = FieldWriter(.chunks)
        info.integer(number / Chunk.chunksOfKey)
        return KeyDerivation.expand(content, info: info.bytes)
    }
}
