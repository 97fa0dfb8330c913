// SPDX-License-Identifier: Apache-2.0

/// Where to connect to: one server, the master that Sentinels name, or the node of a Redis Cluster that has the slot.
///
/// A pure value: it is told what was found, and says what to do next. Nothing that it is told makes an attempt endless.
struct TopologyMachine {
    /// What is to be done.
    enum Action: Equatable {
        /// Nothing; answers are still to come.
        case none
        /// Connect to this server, log in, and see whether it is the one.
        case dial(RedisEndpoint)
        /// Ask all these Sentinels at once.
        case ask([RedisEndpoint])
        /// The attempt has failed.
        case fail(RedisError)
        /// The attempt has failed, and trying again does not help.
        case refuse(RedisRefusal)
    }

    private let seeds: [RedisEndpoint]
    /// What Sentinels call the master; nil without Sentinels.
    private let master: String?

    /// Nodes of the cluster, as the last one that was reached knows them.
    private var known: [RedisEndpoint] = []
    /// Where the connection was, or has to be by what a node said.
    private var preferred: RedisEndpoint?
    /// Whose turn it is of all that are known.
    private var turn = 0
    private var hops = 0
    private var answers: [RedisEndpoint: SentinelAnswer] = [:]
    private var isAsking = false

    init(_ url: RedisURL) {
        (seeds, master) = (url.endpoints, url.master)
    }

    /// Whether there are others to turn to when one does not answer.
    var hasChoice: Bool { master == nil && candidates.count > 1 }

    /// Whether Sentinels say where the master is.
    var hasSentinels: Bool { master != nil }

    /// A connection is wanted.
    mutating func begin() -> Action {
        hops = 0
        guard master == nil else {
            answers = [:]
            isAsking = true
            return .ask(seeds)
        }
        if let preferred { return .dial(preferred) }
        let candidates = candidates
        guard !candidates.isEmpty else { return .fail(RedisError(.unreachable, "its URL names no server")) }
        return .dial(candidates[turn % candidates.count])
    }

    /// A server was connected to, and is the one.
    ///
    /// - Parameter nodes: the others of its cluster; none for a server that is in none.
    mutating func connected(to server: RedisEndpoint, nodes: [RedisEndpoint], isCluster: Bool) {
        guard isCluster, master == nil else { return }
        preferred = server
        if !nodes.isEmpty { known = Array(nodes.prefix(RedisDefaults.clusterNodes)) }
    }

    /// A server could not be used.
    mutating func failed(_ server: RedisEndpoint) {
        preferred = nil
        // The next one is that behind it.
        turn = candidates.firstIndex(of: server).map { $0 + 1 } ?? (turn + 1) % 4096
    }

    private var candidates: [RedisEndpoint] {
        var candidates: [RedisEndpoint] = []
        for each in known + seeds where !candidates.contains(each) { candidates.append(each) }
        return candidates
    }

    /// A server says that another one has the slot, at the login.
    mutating func redirected(to server: RedisEndpoint, by other: RedisEndpoint) -> Action {
        guard master == nil else {
            failed(other)
            return .fail(RedisError(.unreachable, "the Sentinels name a node of a Redis Cluster, \(other)"))
        }
        hops += 1
        guard hops <= RedisDefaults.redirects, server != other else {
            failed(other)
            return .fail(RedisError(.unreachable, "the nodes of its cluster send this one from one to the other"))
        }
        preferred = server
        return .dial(server)
    }

    /// A server that was connected to says that another one has the slot by now.
    mutating func moved(to server: RedisEndpoint) {
        if master == nil { preferred = server }
    }
}

// MARK: - Sentinels

extension TopologyMachine {
    /// A Sentinel answered, or could not be asked.
    mutating func answered(by sentinel: RedisEndpoint, _ answer: SentinelAnswer) -> Action {
        guard isAsking, seeds.contains(sentinel), answers[sentinel] == nil else { return .none }
        answers[sentinel] = answer
        if let agreed {
            isAsking = false
            return .dial(agreed)
        }
        return answers.count == Set(seeds).count ? decide() : .none
    }

    /// The time for answers is over.
    mutating func askingEnded() -> Action { isAsking ? decide() : .none }

    /// The master that more than half of all Sentinels name: no single one of three can lead a node astray, and none
    /// that is dead or slow is waited for.
    var agreed: RedisEndpoint? {
        votes.first { $0.count * 2 > Set(seeds).count }?.master
    }

    /// In the order in which the Sentinels stand in the URL.
    private var votes: [(master: RedisEndpoint, count: Int)] {
        var votes: [(master: RedisEndpoint, count: Int)] = []
        for seed in seeds {
            guard case .master(let server)? = answers[seed] else { continue }
            if let index = votes.firstIndex(where: { $0.master == server }) {
                votes[index].count += 1
            } else {
                votes.append((server, 1))
            }
        }
        return votes
    }

    private mutating func decide() -> Action {
        isAsking = false
        // When most are away, what is left is believed: the server has to say itself that it is a master.
        if let most = votes.max(by: { $0.count < $1.count })?.count,
            let first = votes.first(where: { $0.count == most })
        {
            return .dial(first.master)
        }
        let given = seeds.compactMap { seed in answers[seed].map { (seed, $0) } }
        for case (_, .refused(let refusal)) in given { return .refuse(refusal) }
        let withoutMaster = given.filter { $0.1 == .unknown }
        if withoutMaster.count * 2 > Set(seeds).count { return .refuse(.noSuchMaster(master ?? "")) }
        if let (sentinel, _) = withoutMaster.first {
            return .fail(
                RedisError(.unreachable, "the Sentinel \(sentinel) watches no master called \(master ?? "")"))
        }
        for case (let sentinel, .failed(let error)) in given {
            return .fail(
                RedisError(.unreachable, "no Sentinel answers; \(sentinel): \(error.detail ?? error.code.message)"))
        }
        return .fail(RedisError(.unreachable, "no Sentinel answers"))
    }
}

/// What a Sentinel answers to the question where the master is.
enum SentinelAnswer: Equatable {
    /// The address of the master.
    case master(RedisEndpoint)
    /// It watches none of that name.
    case unknown
    /// It could not be asked, or its answer is none.
    case failed(RedisError)
    /// It will not have us.
    case refused(RedisRefusal)
}
