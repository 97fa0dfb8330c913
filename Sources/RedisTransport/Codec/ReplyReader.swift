// SPDX-License-Identifier: Apache-2.0

private import CHiredis
internal import NIOCore

/// hiredis' reader: bytes in, replies out. Whatever comes, the worst that happens is an error.
@safe final class ReplyReader {
    /// nil only without memory.
    private let reader: UnsafeMutablePointer<redisReader>?
    private let builder = ReplyBuilder()
    private var scanner = ReplyScanner()

    /// Makes a reader for one connection.
    init() {
        unsafe reader = Self.functions.pointer.flatMap { unsafe redisReaderCreateWithFunctions($0) }
        // The reader goes when this object does, and with it this pointer to the builder.
        unsafe reader?.pointee.privdata = Unmanaged.passUnretained(builder).toOpaque()
    }

    deinit {
        if let reader = unsafe reader { unsafe redisReaderFree(reader) }
    }

    /// Takes bytes from the connection; ``next()`` then has the replies in them.
    ///
    /// - Throws: `protocolViolation`; the reader is of no use afterwards.
    func feed(_ bytes: ByteBuffer) throws(RedisError) {
        try scanner.scan(bytes.readableBytesView)
        guard let reader = unsafe reader else { throw RedisError(.protocolViolation, "there is no memory for it") }
        let result = unsafe bytes.withUnsafeReadableBytes { bytes in
            unsafe redisReaderFeed(reader, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard result == REDIS_OK else { throw failure }
    }

    /// The next whole reply, or nil until there is one.
    ///
    /// - Throws: `protocolViolation`; the reader is of no use afterwards.
    func next() throws(RedisError) -> RESPValue? {
        guard let reader = unsafe reader else { throw RedisError(.protocolViolation, "there is no memory for it") }
        var reply: UnsafeMutableRawPointer?
        guard unsafe redisReaderGetReply(reader, &reply) == REDIS_OK else { throw failure }
        guard unsafe reply != nil else { return nil }
        guard let value = builder.take() else { throw RedisError(.protocolViolation, "hiredis lost its place") }
        return value
    }

    private var failure: RedisError {
        if let violation = builder.violation { return violation }
        guard let reader = unsafe reader else { return RedisError(.protocolViolation) }
        let message = unsafe withUnsafeBytes(of: reader.pointee.errstr) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return RedisError(.protocolViolation, message)
    }

    /// The address of the table of callbacks: made once, never changed, never freed.
    @safe private struct Functions: Sendable {
        let address: UInt

        var pointer: UnsafeMutablePointer<redisReplyObjectFunctions>? {
            unsafe UnsafeMutablePointer(bitPattern: address)
        }
    }

    /// hiredis asks these for each value. What they return only has to be something or nothing: the builder keeps the
    /// values, so there is nothing for hiredis to free, and a type it knows and these do not leaves a reply unfinished.
    private static let functions: Functions = {
        let table = UnsafeMutablePointer<redisReplyObjectFunctions>.allocate(capacity: 1)
        unsafe table.initialize(to: redisReplyObjectFunctions())
        unsafe table.pointee.createString = { task, text, length in
            unsafe ReplyReader.add(task, text: text, length: Int(length))
        }
        unsafe table.pointee.createArray = { task, count in
            guard let task = unsafe task, unsafe task.pointee.type == REDIS_REPLY_ARRAY else { return nil }
            return unsafe ReplyReader.mark(builder(of: task)?.begin(count: Int(count)))
        }
        unsafe table.pointee.createInteger = { task, number in
            unsafe ReplyReader.mark(builder(of: task)?.add(.integer(Int64(number)), length: 0))
        }
        unsafe table.pointee.createNil = { task in
            unsafe ReplyReader.mark(builder(of: task)?.add(.null, length: 0))
        }
        unsafe table.pointee.freeObject = { _ in }
        return Functions(address: UInt(bitPattern: table))
    }()

    private static func builder(of task: UnsafePointer<redisReadTask>?) -> ReplyBuilder? {
        guard let address = unsafe task?.pointee.privdata else { return nil }
        return unsafe Unmanaged<ReplyBuilder>.fromOpaque(address).takeUnretainedValue()
    }

    private static func add(
        _ task: UnsafePointer<redisReadTask>?, text: UnsafeMutablePointer<CChar>?, length: Int
    ) -> UnsafeMutableRawPointer? {
        guard let task = unsafe task, let builder = unsafe builder(of: task) else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: text, count: text == nil ? 0 : length)
        switch unsafe task.pointee.type {
        case REDIS_REPLY_STRING: return unsafe mark(builder.add(.bulk(ByteBuffer(bytes: bytes)), length: length))
        case REDIS_REPLY_STATUS:
            return unsafe mark(builder.add(.simple(String(decoding: bytes, as: UTF8.self)), length: length))
        case REDIS_REPLY_ERROR:
            return unsafe mark(builder.add(.error(String(decoding: bytes, as: UTF8.self)), length: length))
        default: return nil
        }
    }

    /// Something for hiredis when the value was taken, nothing when it has to stop.
    private static func mark(_ isTaken: Bool?) -> UnsafeMutableRawPointer? {
        isTaken == true ? unsafe UnsafeMutableRawPointer(bitPattern: 1) : nil
    }
}

@available(*, unavailable)
extension ReplyReader: Sendable {}

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

    private func refuse(_ message: String) -> Bool {
        violation = violation ?? RedisError(.protocolViolation, message)
        return false
    }
}
