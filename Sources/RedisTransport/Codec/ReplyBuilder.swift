// SPDX-License-Identifier: Apache-2.0

internal import NIOCore

/// Puts a reply together from what hiredis finds, within limits that it is asked about before anything is allocated.
///
/// hiredis goes through a reply depth first, so the arrays that are not yet full are a stack.
final class ReplyBuilder {
    private struct Frame {
        let count: Int
        var values: [RESPValue] = []
    }

    private var frames: [Frame] = []
    private var elements = 0
    private var length = 0
    private var root: RESPValue?
    /// The limit that was passed, if one was.
    private(set) var violation: RedisError?

    /// An array of `count` values begins.
    ///
    /// - Returns: whether that is within the limits; if not, hiredis has to stop.
    func begin(count: Int) -> Bool {
        guard count > 0 else { return add(.array([]), length: 0) }
        guard frames.count < RedisDefaults.replyDepth else { return refuse("arrays are too deep in each other") }
        guard count <= RedisDefaults.replyElements - elements else { return refuse("it has too many elements") }
        elements += count
        frames.append(Frame(count: count))
        return true
    }

    /// A value was read that holds no others.
    ///
    /// - Parameter count: its bytes of text.
    /// - Returns: as ``begin(count:)``.
    func add(_ value: @autoclosure () -> RESPValue, length count: Int) -> Bool {
        guard count <= RedisDefaults.replyLength - length else { return refuse("it is too large") }
        guard root == nil else { return refuse("hiredis lost its place") }
        length += count
        var value = value()
        while var frame = frames.popLast() {
            frame.values.append(value)
            guard frame.values.count == frame.count else {
                frames.append(frame)
                return true
            }
            value = .array(frame.values)
        }
        root = value
        return true
    }

    /// Takes the reply out; nil when hiredis says that it is whole and it is not.
    func take() -> RESPValue? {
        defer {
            root = nil
            frames.removeAll()
            (elements, length) = (0, 0)
        }
        return root
    }

    private func refuse(_ words: String) -> Bool {
        violation = violation ?? RedisError(.protocolViolation, words)
        return false
    }
}
