// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Sealing
import TransferClient
import WSProtocol

/// The policies of a profile: the file `policies`, and in the file `taken` how much of those with a limit of a day has
/// come today. Read anew each time, since another process of the same profile may have changed something. Blocks.
struct PolicyStore: Sendable {
    /// The profile's folder.
    private let directory: String

    private static let file = "policies"
    private static let countsFile = "taken"

    init(_ directory: String) { self.directory = directory }

    /// All of them, in the order of the names.
    func list() throws(FileError) -> SenderPolicies {
        guard var folder = try PrivateDirectory(path: directory, creating: false) else { return SenderPolicies() }
        return try read(&folder)
    }

    /// What holds for a sender; nil when nothing was said.
    func policy(for name: PeerName) throws(FileError) -> SenderPolicy? { try list()[name] }

    /// Changes what holds for a sender. Returns what holds from now on.
    @discardableResult
    func change(
        _ name: PeerName, _ body: (inout SenderPolicy?) -> Void
    ) throws(FileError) -> SenderPolicy? {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            let before = try read(&folder)
            var policies = before
            body(&policies[name])
            guard policies != before else { return policies[name] }
            guard policies.count <= max(Defaults.mostPolicies, before.count) else {
                throw FileError(
                    code: .unusableProfile,
                    message: "the profile has \(Defaults.mostPolicies) policies, which is the most: "
                        + "relay-client peers policy NAME --clear makes room"
                )
            }
            // Where there is no file, there is no policy.
            if policies.count == 0 {
                try folder.remove(Self.file)
            } else {
                try folder.write(policies.encoded, to: Self.file, replacing: true)
            }
            return policies[name]
        }
    }

    // MARK: - What has come today

    /// The bytes that count as taken from a sender today.
    ///
    /// - Parameter now: in milliseconds since 1970.
    func bytesToday(from name: PeerName, now: UInt64) throws(FileError) -> UInt64 {
        guard var folder = try PrivateDirectory(path: directory, creating: false) else { return 0 }
        var counts = try readCounts(&folder)
        return counts.count(of: name, day: WallClock.day(now)).bytes
    }

    /// Counts a transfer of which `needed` bytes are to come, durably, before it is accepted; nil where that is not
    /// known.
    ///
    /// - Returns: how many bytes may come; nil, and nothing is counted, when that is too few.
    func reserve(
        _ transfer: CarriedTransfer, from name: PeerName, needed: UInt64?, limit: UInt64, most: UInt64?, now: UInt64
    ) throws(FileError) -> UInt64? {
        try changeCount(of: name, now: now) { count in
            count.reserve(transfer, needed: needed, limit: limit, most: most)
        }
    }

    /// A transfer is over, and so many bytes of it have come since `needed` were reserved.
    func settle(
        _ transfer: CarriedTransfer, from name: PeerName, bytes: UInt64, needed: UInt64? = nil, now: UInt64
    ) throws(FileError) {
        try changeCount(of: name, now: now) { count in count.settle(transfer, bytes: bytes, needed: needed) }
    }

    // MARK: - The files

    private func read(_ folder: inout PrivateDirectory) throws(FileError) -> SenderPolicies {
        guard let content = try folder.read(Self.file, limit: Defaults.maximumPoliciesFile) else {
            return SenderPolicies()
        }
        guard !content.isEmpty else {
            // Who was refused would be asked about, and limits would be gone, unnoticed.
            throw FileError(
                code: .unusableProfile,
                message:
                    "\"\(DisplayName.escape(directory + "/" + Self.file))\" is empty, as a power cut may leave it: put it "
                    + "back from a backup, or remove it, after which no policy holds for anyone"
            )
        }
        do throws(SenderPolicies.Damage) {
            return try SenderPolicies(content)
        } catch {
            throw damaged(Self.file, error.line, "nothing is taken until it is well: put the file back from a backup")
        }
    }

    private func readCounts(_ folder: inout PrivateDirectory) throws(FileError) -> DayCounts {
        guard let content = try folder.read(Self.countsFile, limit: Defaults.maximumPoliciesFile) else {
            return DayCounts()
        }
        do throws(SenderPolicies.Damage) {
            return try DayCounts(content)
        } catch {
            throw damaged(
                Self.countsFile, error.line, "what came today is not known: remove the file, to count from now on")
        }
    }

    private func changeCount<Value>(
        of name: PeerName, now: UInt64, _ body: (inout DayCount) -> Value
    ) throws(FileError) -> Value {
        try PrivateDirectory.locked(directory) { folder throws(FileError) in
            let before = try readCounts(&folder)
            var counts = before
            let day = WallClock.day(now)
            counts.keepOnly(day: day)
            var count = counts.count(of: name, day: day)
            let value = body(&count)
            counts.set(count, of: name)
            if counts != before { try folder.write(counts.encoded, to: Self.countsFile, replacing: true) }
            return value
        }
    }

    private func damaged(_ file: String, _ line: Int, _ advice: String) -> FileError {
        FileError(
            code: .unusableProfile,
            message: "line \(line) of \"\(DisplayName.escape(directory + "/" + file))\" is damaged, and \(advice)"
        )
    }
}
