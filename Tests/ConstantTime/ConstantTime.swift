// SPDX-License-Identifier: Apache-2.0

import CMemcheck
import Crypto
import FoundationEssentials
import Glibc
import RelayCluster
import TransferBroker
import WSProtocol

/// What compares secrets, or reads them, with the secrets' bytes marked: valgrind's memcheck reports each decision, and
/// each address, that depends on one. For `scripts/prove secrets` and the tests; it prints the answers, which are no
/// secrets any more.
///
///     ConstantTime CASE     one of `Case`; exit status 3 when memcheck does not run it
@main struct ConstantTime {
    enum Case: String, CaseIterable {
        /// The MAC of what stands in Redis, compared with the right one, and with ones that differ in the first, the
        /// last and all bytes; the cluster's secret is the secret.
        case record
        /// A token, made into the digest under which the relay knows it.
        case token
        /// A chunk, a note or a ticket keyring, opened with the right key and with another: exactly one decision is
        /// reported, whether the tag is right, which is the answer.
        case open
        /// What must be reported: the same comparison as that of records, ended by the first byte that differs.
        case planted
    }

    static func main() throws {
        guard let chosen = CommandLine.arguments.dropFirst().first.flatMap({ Case(rawValue: $0) }) else {
            print("one of \(Case.allCases.map(\.rawValue).joined(separator: ", "))")
            throw Failure.usage
        }
        guard CMemcheck_runs() == 1 else { exit(3) }
        switch chosen {
        case .record: try record { $0.isGood($1, "account", "alice", "text") }
        case .planted: try record { $0.mac("account", "alice", "text").bytes.elementsEqual($1.bytes) }
        case .token: try token()
        case .open: try open()
        }
    }

    private static func record(_ compare: (UserRecords, RecordMAC) -> Bool) throws {
        let bytes = [UInt8](repeating: 7, count: 32)
        guard let known = ClusterSecret(bytes: bytes), let secret = ClusterSecret(bytes: marked(bytes)) else {
            throw Failure.secret
        }
        let right = UserRecords(known).mac("account", "alice", "text").bytes
        let records = UserRecords(secret)
        for wrong in [nil, 0..<1, 31..<32, 0..<32] as [Range<Int>?] {
            var shown = right
            for index in wrong ?? 0..<0 { shown[index] ^= 0x80 }
            guard let mac = RecordMAC(rawValue: Base64URL.encode(shown)) else { throw Failure.secret }
            var answer = compare(records, mac)
            declassify(&answer)
            guard answer == (wrong == nil) else { throw Failure.answer }
        }
        print("4 MACs compared")
    }

    private static func token() throws {
        guard let token = Token(bytes: marked([UInt8](repeating: 9, count: 32))) else { throw Failure.secret }
        var digest = TokenDigest(token).bytes
        declassify(&digest)
        guard digest == Array(SHA256.hash(data: [UInt8](repeating: 9, count: 32))) else { throw Failure.answer }
        print("1 token digested")
    }

    private static func open() throws {
        let bytes = [UInt8](repeating: 5, count: 32)
        let box = try AES.GCM.seal([UInt8](repeating: 0, count: 1000), using: SymmetricKey(data: bytes))
        for isRight in [true, false] {
            let key = marked(isRight ? bytes : bytes.reversed().map { $0 ^ 1 })
            let opened = try? AES.GCM.open(box, using: SymmetricKey(data: key))
            guard (opened != nil) == isRight else { throw Failure.answer }
        }
        print("2 boxes opened")
    }

    /// The same bytes, as a secret.
    private static func marked(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        unsafe bytes.withUnsafeMutableBytes { unsafe CMemcheck_make_secret($0.baseAddress, $0.count) }
        return bytes
    }

    private static func declassify(_ bytes: inout [UInt8]) {
        unsafe bytes.withUnsafeMutableBytes { unsafe CMemcheck_make_public($0.baseAddress, $0.count) }
    }

    /// Out of line, so that no code decides by the answer before it is public.
    @inline(never) private static func declassify(_ answer: inout Bool) {
        unsafe withUnsafeMutableBytes(of: &answer) { unsafe CMemcheck_make_public($0.baseAddress, $0.count) }
    }

    enum Failure: Error { case usage, secret, answer }
}
