// SPDX-License-Identifier: Apache-2.0

import Glibc
import PrivateFiles

/// The names in one folder, in the order of their bytes. Two blocks of memory, however many there are.
struct FolderListing: Sendable {
    /// One behind the other, each with its zero byte.
    private var names: [CChar] = []
    /// Where each begins, in order.
    private var starts: [UInt32] = []
    private var position = 0

    /// Reads the open folder, from its beginning.
    init(of folder: OpenFile) throws(SystemError) {
        // A handle of its own: that of the caller stays as it is.
        let own = try SystemError.check { unsafe openat(folder.descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard let stream = unsafe fdopendir(own) else {
            let failure = SystemError.last
            close(own)
            throw failure
        }
        defer { unsafe closedir(stream) }
        while true {
            errno = 0
            guard let entry = unsafe readdir(stream) else {
                guard errno == 0 else { throw SystemError.last }
                break
            }
            try unsafe add(entry)
        }
        unsafe names.withUnsafeBufferPointer { names in
            guard let base = names.baseAddress else { return }
            starts.sort { unsafe strcmp(base + Int($0), base + Int($1)) < 0 }
        }
    }

    /// The next name; nil at the end.
    mutating func next() -> PathName? {
        guard position < starts.count else { return nil }
        defer { position += 1 }
        let start = Int(starts[position])
        return PathName(names[start...].prefix { $0 != 0 }.lazy.map(UInt8.init(bitPattern:)))
    }

    private mutating func add(_ entry: UnsafeMutablePointer<dirent>) throws(SystemError) {
        // The name may be longer than the type says, and the record shorter: it is read where it lies.
        guard let offset = MemoryLayout<dirent>.offset(of: \.d_name) else { throw SystemError(code: EINVAL) }
        let name = unsafe UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: CChar.self)
        let length = unsafe strlen(name)
        let dot = CChar(bitPattern: UInt8(ascii: "."))
        if unsafe length <= 2 && name[0] == dot && (length == 1 || name[1] == dot) { return }
        guard let start = UInt32(exactly: names.count) else { throw SystemError(code: EOVERFLOW) }
        starts.append(start)
        unsafe names.append(contentsOf: UnsafeBufferPointer(start: name, count: length + 1))
    }
}
