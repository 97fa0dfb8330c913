// SPDX-License-Identifier: Apache-2.0

import Crypto
import FoundationEssentials
import Glibc
import PrivateFiles
package import ServerSystem
import TransferBroker

/// The bytes that all nodes of a cluster, and only they, have in a file. They never leave the process.
package struct ClusterSecret: Hashable, Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    /// Nothing of the secret.
    package var description: String { "[redacted]" }

    /// Nil unless there are at least ``Defaults/Routing/secretLength`` bytes.
    package init?(bytes: [UInt8]) {
        guard bytes.count >= Defaults.Routing.secretLength else { return nil }
        self.bytes = bytes
    }

    /// Reads the file at `path`: hexadecimal digits on one line.
    /// - Throws: ``OperatorError``.
    package init(path: String) throws(OperatorError) {
        let advice = "`openssl rand -hex 32 > \(path) && chmod 600 \(path)` makes one"
        let contents: Data
        do {
            contents = try Self.read(path)
        } catch {
            switch error {
            case .system(let error):
                let hint = error.code == ENOENT ? ": \(advice)" : ""
                throw OperatorError(.configuration, "cannot read the cluster's secret \(path): \(error)\(hint)")
            case .open:
                throw OperatorError(
                    .configuration,
                    "the cluster's secret \(path) is open to other users: chmod 600 \(path), or 640 where root owns it")
            }
        }
        guard let bytes = Self.bytes(ofHexadecimal: contents), let secret = ClusterSecret(bytes: bytes) else {
            throw OperatorError(
                .configuration,
                "the cluster's secret \(path) is not \(Defaults.Routing.secretLength) or more bytes in hexadecimal: "
                    + advice
            )
        }
        self = secret
    }

    /// A key for one purpose (HKDF-SHA-256, RFC 5869, without salt).
    func key(for purpose: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: bytes), info: Array(purpose.utf8), outputByteCount: 32)
    }

    private enum Failure: Error {
        case system(SystemError)
        /// Others may read it.
        case open
    }

    private static func read(_ path: String) throws(Failure) -> Data {
        do throws(SystemError) {
            let file = try SystemError.check { unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
            defer { close(file) }
            // Its group may read: files of root's, in a package or a container, are the relay's to read in no other
            // way.
            let access = try FileAccess(of: file)
            if !access.exceeds(0o740) {
                return try BoundedFile.read(file, limit: Defaults.Routing.secretFileSize)
            }
        } catch {
            throw .system(error)
        }
        throw .open
    }

    /// Nil when there is anything but an even number of digits and a line's end.
    private static func bytes(ofHexadecimal contents: Data) -> [UInt8]? {
        var digits = contents[...]
        while let last = digits.last, last == 0x0A || last == 0x0D { digits = digits.dropLast() }
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        while let high = digits.popFirst(), let low = digits.popFirst() {
            guard let high = Character(UnicodeScalar(high)).hexDigitValue,
                let low = Character(UnicodeScalar(low)).hexDigitValue
            else { return nil }
            bytes.append(UInt8(high * 16 + low))
        }
        return bytes
    }
}
