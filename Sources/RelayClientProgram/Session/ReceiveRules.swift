// SPDX-License-Identifier: Apache-2.0

import Sealing
import TransferClient
import WSProtocol

/// What holds for the offers of one sender: the command line's rules, and the policy that stands in the profile.
struct ReceiveRules: Sendable {
    let sender: PeerName
    /// Where it goes.
    let output: ReceiveOutput
    /// What is run for each file and folder.
    let command: FileCommand?
    /// Whether the SHA-256 of each file is wanted.
    private let takesChecksums: Bool
    private let policy: ReceivePolicy
    private let standing: SenderPolicy?
    private let policies: PolicyStore?

    init(
        sender: PeerName, output: ReceiveOutput, command: FileCommand? = nil, policy: ReceivePolicy = .init(),
        standing: SenderPolicy? = nil, policies: PolicyStore? = nil, takesChecksums: Bool = false
    ) {
        self.takesChecksums = takesChecksums
        self.sender = sender
        self.output = output
        self.command = command
        self.policy = policy
        self.standing = standing
        self.policies = policies
    }

    /// What to do about an offer.
    ///
    /// - Parameters:
    ///   - isAgain: whether an earlier attempt of the same was accepted.
    ///   - now: in milliseconds since 1970.
    func judge(size: UInt64?, isAgain: Bool, now: UInt64) throws(ClientError) -> ReceivePolicy.Verdict {
        var today: UInt64 = 0
        // What was accepted counts already.
        if let policies, standing?.maximumDay != nil, !isAgain {
            do throws(FileError) { today = try policies.bytesToday(from: sender, now: now) } catch {
                throw .file(error)
            }
        }
        let verdict = policy.judge(from: sender, size: size, standing: standing, today: today)
        return verdict == .ask && isAgain ? .accept : verdict
    }

    /// The place of a transfer that is accepted now, with how many bytes of it are taken at most. Blocks.
    ///
    /// - Throws: `file`, or the refusal, as `transfer`, where others have used up the day meanwhile.
    func open(
        _ transfer: OfferedTransfer, time: @escaping @Sendable () -> UInt64
    ) throws(ClientError) -> (sink: any TransferSink, limit: UInt64?) {
        let sink: any TransferSink
        do throws(FileError) { sink = try output.open(transfer, takesChecksums: takesChecksums) } catch {
            throw .file(error)
        }
        let most = policy.limit(standing: standing)
        guard let policies, let day = standing?.maximumDay else { return (sink, most) }
        let (size, here) = (transfer.summary.bytes, sink.receivedBytes)
        let needed = size.map { $0 - min($0, here) }
        do throws(ClientError) {
            let granted = try reserve(transfer, needed, of: day, most, in: policies, now: time())
            let account = DayAccount(
                policies: policies, transfer: transfer.transfer, sender: sender, needed: needed, time: time)
            // A size that is announced is what comes.
            let limit = [most, size == nil ? granted : nil].compactMap(\.self).min()
            return (CountedSink(sink, account), limit)
        } catch {
            if sink.hasContent { sink.keep() } else { sink.discard() }
            throw error
        }
    }

    private func reserve(
        _ transfer: OfferedTransfer, _ needed: UInt64?, of day: UInt64, _ most: UInt64?, in policies: PolicyStore,
        now: UInt64
    ) throws(ClientError) -> UInt64 {
        let granted: UInt64?
        do throws(FileError) {
            granted = try policies.reserve(
                transfer.transfer, from: sender, needed: needed, limit: day, most: most, now: now)
        } catch {
            throw .file(error)
        }
        if let granted { return granted }
        throw .transfer(TransferFailure(refusing: .tooMuchToday(limit: day), from: sender))
    }
}

extension ReceiveSettings {
    /// What holds for a sender. Throws where the profile's policies, or the folder of this one, cannot be used.
    func rules(for sender: PeerName) throws(ClientError) -> ReceiveRules {
        let standing: SenderPolicy?
        var output = output
        do throws(FileError) {
            standing = try policies?.policy(for: sender)
            // Nothing goes into the folder of a sender who is refused.
            if let folder = standing?.folder, standing?.answer != .refuse, let folders {
                output = .folder(try folders.parts(in: folder))
            }
        } catch {
            throw .file(error)
        }
        var command = command ?? standing?.command
        if case .standardOutput = output { command = nil }
        return ReceiveRules(
            sender: sender, output: output, command: command, policy: policy, standing: standing, policies: policies,
            takesChecksums: printsChecksums
        )
    }
}
