// SPDX-License-Identifier: Apache-2.0

private import COpenSSL

/// OpenSSL's view of a `CiphertextStore`: a BIO whose reads and writes are copies from and to byte buffers.
///
/// OpenSSL's memory BIO would copy every byte once more in each direction.
enum ByteBIO {
    /// The address of the table of callbacks: made once, never changed, never freed. 0 only without memory.
    private static let methodAddress: UInt = {
        guard let table = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "byte buffer") else {
            return 0
        }
        unsafe BIO_meth_set_read_ex(table) { bio, destination, count, done in
            unsafe ByteBIO.read(bio, destination, count, done)
        }
        unsafe BIO_meth_set_write_ex(table) { bio, source, count, done in
            unsafe ByteBIO.write(bio, source, count, done)
        }
        unsafe BIO_meth_set_ctrl(table) { _, command, _, _ in
            // Flushing is the channel's business: there is nothing to do, and that has to be called success.
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
        return UInt(bitPattern: table)
    }()

    /// Makes a BIO over `store`, or nil without memory.
    ///
    /// The BIO does not own `store`: the owner of the BIO keeps the store alive for longer.
    static func make(over store: CiphertextStore) -> OpaquePointer? {
        guard let method = unsafe OpaquePointer(bitPattern: methodAddress), let bio = unsafe BIO_new(method) else {
            return nil
        }
        unsafe BIO_set_data(bio, Unmanaged.passUnretained(store).toOpaque())
        unsafe BIO_set_init(bio, 1)
        return unsafe bio
    }

    private static func store(of bio: OpaquePointer?) -> Unmanaged<CiphertextStore>? {
        guard let data = unsafe BIO_get_data(bio) else { return nil }
        return unsafe Unmanaged<CiphertextStore>.fromOpaque(data)
    }

    private static func read(
        _ bio: OpaquePointer?, _ destination: UnsafeMutablePointer<CChar>?, _ count: Int,
        _ done: UnsafeMutablePointer<Int>?
    ) -> CInt {
        unsafe COpenSSL_BIO_clear_retry_flags(bio)
        guard let store = unsafe store(of: bio), let done = unsafe done else { return 0 }
        unsafe done.pointee = unsafe store._withUnsafeGuaranteedRef {
            unsafe $0.read(into: UnsafeMutableRawBufferPointer(start: destination, count: count))
        }
        if unsafe done.pointee == 0 {
            unsafe COpenSSL_BIO_set_retry_read(bio)
            return 0
        }
        return 1
    }

    private static func write(
        _ bio: OpaquePointer?, _ source: UnsafePointer<CChar>?, _ count: Int, _ done: UnsafeMutablePointer<Int>?
    ) -> CInt {
        unsafe COpenSSL_BIO_clear_retry_flags(bio)
        guard let store = unsafe store(of: bio), let done = unsafe done else { return 0 }
        unsafe store._withUnsafeGuaranteedRef {
            unsafe $0.write(UnsafeRawBufferPointer(start: source, count: count))
        }
        unsafe done.pointee = count
        return 1
    }
}
