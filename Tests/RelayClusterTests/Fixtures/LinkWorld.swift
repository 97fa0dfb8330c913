// SPDX-License-Identifier: Apache-2.0

import NIOCore
import TestSupport
import TransferBroker
import WSProtocol

@testable import RelayCluster

/// A simulation of two nodes: each step lets one thing happen, chosen by a seeded generator.
struct LinkWorld {
    /// One process of a node.
    private struct Process {
        var end: NodeInstance
        var peer: LinkPeer
        /// What the delegate has heard since the last loss: which association of which incarnation, and the last
        /// number.
        var heard: (incarnation: Incarnation, association: UInt64, number: UInt64)?
        /// Associations of the other's incarnations that were over before the loss that was reported last.
        var over: Set<String> = []
    }

    /// A connection: what is on its way, in each direction.
    private struct Wire {
        var caller: Int
        var outbound: LinkConnection
        var inbound: LinkConnection
        var toAnswerer: [LinkFrame] = []
        var toCaller: [LinkFrame] = []
        /// Who has not been told yet that it is broken; nil while it is whole.
        var untold: Set<Int>?
    }

    private var processes: [Process]
    private var wires: [Int: Wire] = [:]
    private var dials: [(caller: Int, address: NodeAddress, connection: LinkConnection)] = []
    private var questions: [(asker: Int, attempt: UInt64)] = []
    private var generator: SeededGenerator
    private var now = LinkSamples.start
    private var (nextWire, nextIncarnation): (Int, UInt8) = (1, 3)
    private var isCut = false
    /// How many messages each association was given.
    private var sent: [String: UInt64] = [:]
    /// How often each message was put on a wire.
    private var written: [String: Int] = [:]

    private(set) var problems: [String] = []
    private(set) var (losses, restarts, delivered, resent) = (0, 0, 0, 0)

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        let (a, b) = (LinkSamples.endA, LinkSamples.endB)
        processes = [
            Process(end: a, peer: LinkPeer(me: a, other: b.node)),
            Process(end: b, peer: LinkPeer(me: b, other: a.node)),
        ]
    }

    /// Lets one thing happen.
    mutating func step() {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<20: send(.random(in: 0...1, using: &generator))
        case 20..<74: deliver()
        case 74..<82: answer()
        case 82..<92: connect()
        case 92..<95: breakWire()
        case 95..<96: isCut = Int.random(in: 0..<4, using: &generator) == 0
        case 96..<97: restart(.random(in: 0...1, using: &generator))
        case 97..<98: hint(.random(in: 0...1, using: &generator))
        default: pass(.milliseconds(.random(in: 1...1500, using: &generator)))
        }
    }

    /// Lets the network be good for long enough, and checks that everything arrives then.
    mutating func heal() {
        isCut = false
        for round in 0..<200 {
            while !questions.isEmpty { answer() }
            while !dials.isEmpty { connect() }
            for _ in 0..<(round % 100 < 20 ? 100 : 4) { deliver() }
            pass(.milliseconds(60))
            for index in 0...1 where round == 100 { send(index) }
        }
        for index in 0...1 {
            let (sender, receiver) = (processes[index].peer.sender, processes[1 - index])
            if sender.state != .idle, sender.waitingMessages > 0 { problems.append("\(index) still waits") }
            if sender.isOpen, receiver.heard?.number != sent[key(processes[index].end, sender.association)] {
                problems.append("\(1 - index) has not heard everything")
            }
        }
    }

    // MARK: - What can happen

    private mutating func send(_ index: Int) {
        let before = processes[index].peer.sender
        let next = before.state == .idle ? before.association + 1 : before.association
        let label = key(processes[index].end, next)
        let number = sent[label, default: 0] + 1
        sent[label] = number
        // The transfer tells the association, the session the number.
        let name = TransferID(bytes: (0..<16).map { $0 < 8 ? UInt8(truncatingIfNeeded: next >> (8 * UInt64($0))) : 0 })
        guard let name else { return }
        act(index) { $0.send(.left(session: number, transfer: name), now: $1) }
    }

    private mutating func answer() {
        guard !questions.isEmpty else { return }
        let question = questions.remove(at: .random(in: 0..<questions.count, using: &generator))
        let other = processes[1 - question.asker].end
        // Now and then the book is behind.
        let isBehind = Int.random(in: 0..<10, using: &generator) == 0
        let incarnation = isBehind ? LinkSamples.incarnation(200) : other.incarnation
        let address = NodeAddress(host: "h", port: 1, incarnation: incarnation)
        act(question.asker) { peer, _ in peer.resolved(address, attempt: question.attempt) }
    }

    private mutating func connect() {
        guard !dials.isEmpty else { return }
        let dial = dials.remove(at: .random(in: 0..<dials.count, using: &generator))
        if isCut { return act(dial.caller) { $0.dialFailed(dial.connection, refused: false, now: $1) } }
        wires[nextWire] = Wire(
            caller: dial.caller, outbound: dial.connection, inbound: .inbound(UInt64(nextWire)))
        nextWire += 1
        act(dial.caller) { $0.connected(dial.connection, now: $1) }
    }

    /// One frame arrives, or one side hears that a connection is broken.
    private mutating func deliver() {
        guard let id = wires.keys.sorted().randomElement(using: &generator), var wire = wires[id] else { return }
        let toCaller = Bool.random(using: &generator)
        let index = toCaller ? wire.caller : 1 - wire.caller
        let connection = toCaller ? wire.outbound : wire.inbound
        let frames = toCaller ? wire.toCaller : wire.toAnswerer
        if let frame = frames.first, !(wire.untold.map { !$0.contains(index) } ?? false) {
            if toCaller { wire.toCaller.removeFirst() } else { wire.toAnswerer.removeFirst() }
            wires[id] = wire
            act(index) { peer, now in
                switch frame {
                case .hello(let hello): peer.called(hello, on: connection)
                case .message(let seq, let message): peer.received(message, seq: seq, on: connection, now: now)
                case .welcome, .ack: peer.answered(frame, on: connection, now: now)
                }
            }
        } else if wire.untold?.contains(index) == true {
            wire.untold?.remove(index)
            wires[id] = wire.untold == [] ? nil : wire
            act(index) { $0.disconnected(connection, silence: .zero, now: $1) }
        }
    }

    /// A connection breaks; part of what is on its way is lost.
    private mutating func breakWire() {
        guard let id = wires.keys.sorted().randomElement(using: &generator), var wire = wires[id], wire.untold == nil
        else { return }
        let keep = Int.random(in: 0...2, using: &generator)
        wire.toAnswerer = Array(wire.toAnswerer.prefix(keep))
        wire.toCaller = Array(wire.toCaller.prefix(keep))
        wire.untold = [0, 1]
        wires[id] = wire
    }

    /// A process ends without a word, and another begins under the same id.
    private mutating func restart(_ index: Int) {
        restarts += 1
        let end = NodeInstance(node: processes[index].end.node, incarnation: LinkSamples.incarnation(nextIncarnation))
        nextIncarnation = nextIncarnation &+ 1
        processes[index] = Process(end: end, peer: LinkPeer(me: end, other: processes[1 - index].end.node))
        questions.removeAll { $0.asker == index }
        dials.removeAll { $0.caller == index }
        for (id, wire) in wires {
            var wire = wire
            if wire.caller == index { wire.toCaller = [] } else { wire.toAnswerer = [] }
            wire.untold = (wire.untold ?? [0, 1]).subtracting([index])
            wires[id] = wire.untold == [] ? nil : wire
        }
    }

    private mutating func hint(_ index: Int) {
        let incarnation = processes[1 - index].end.incarnation
        act(index) { peer, _ in peer.presenceGone(incarnation) }
    }

    private mutating func pass(_ time: TimeAmount) {
        let end = now + time
        while true {
            let due = (0...1).compactMap { index in
                processes[index].peer.deadline.map { (index, max($0, now)) }
            }.min { $0.1 < $1.1 }
            guard let (index, deadline) = due, deadline <= end else { break }
            now = deadline
            act(index) { $0.timerFired(now: $1) }
            if processes[index].peer.deadline.map({ $0 <= deadline }) == true {
                problems.append("a timer that fires for ever")
                break
            }
        }
        now = end
    }

    // MARK: - Actions and checks

    private mutating func act(_ index: Int, _ event: (inout LinkPeer, NIODeadline) -> [LinkAction]) {
        let actions = event(&processes[index].peer, now)
        if actions.filter(\.isLoss).count > 1 { problems.append("two losses at once") }
        for action in actions { run(action, index) }
    }

    private mutating func run(_ action: LinkAction, _ index: Int) {
        switch action {
        case .resolve(let attempt): questions.append((index, attempt))
        case .dial(let address, let connection): dials.append((index, address, connection))
        case .say(_, let connection), .write(_, let connection): put(action.frame, connection, index)
        case .deliver(let message, let incarnation): check(message, incarnation, index)
        case .close(let connection), .reject(let connection): close(connection, index)
        case .lost:
            losses += 1
            if let heard = processes[index].heard {
                processes[index].over.insert("\(heard.incarnation)-\(heard.association)")
            }
            processes[index].heard = nil
            if case .ended(let incarnation, let association) = processes[index].peer.receiver.state {
                processes[index].over.insert("\(incarnation)-\(association)")
            }
        }
        if case .reject = action { problems.append("an honest node was rejected") }
    }

    private func wire(_ connection: LinkConnection, _ index: Int) -> Int? {
        wires.first { _, wire in
            switch connection {
            case .outbound: wire.caller == index && wire.outbound == connection
            case .inbound: wire.caller != index && wire.inbound == connection
            }
        }?.key
    }

    private mutating func put(_ frame: LinkFrame?, _ connection: LinkConnection, _ index: Int) {
        guard let frame, let id = wire(connection, index), wires[id]?.untold == nil else { return }
        if wires[id]?.caller == index { wires[id]?.toAnswerer.append(frame) } else { wires[id]?.toCaller.append(frame) }
        if case .message(let seq, _) = frame {
            let label = "\(key(processes[index].end, processes[index].peer.sender.association))-\(seq)"
            written[label, default: 0] += 1
            if written[label, default: 0] > 1 { resent += 1 }
        }
    }

    private mutating func close(_ connection: LinkConnection, _ index: Int) {
        // Or the attempt comes to something after all.
        let isInTime = Bool.random(using: &generator)
        dials.removeAll { $0.caller == index && $0.connection == connection && isInTime }
        guard let id = wire(connection, index), var wire = wires[id] else { return }
        // What was written before still arrives.
        if wire.caller == index { wire.toCaller = [] } else { wire.toAnswerer = [] }
        wire.untold = (wire.untold ?? [0, 1]).subtracting([index])
        wires[id] = wire.untold == [] ? nil : wire
    }

    private mutating func check(_ message: NodeMessage, _ incarnation: Incarnation, _ index: Int) {
        guard case .left(let number, let name, _) = message else { return problems.append("another message") }
        delivered += 1
        let association = name.bytes.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let expected: UInt64
        if let heard = processes[index].heard {
            if heard.incarnation != incarnation || heard.association != association {
                problems.append("another association without a loss")
            }
            expected = heard.number + 1
        } else {
            if processes[index].over.contains("\(incarnation)-\(association)") {
                problems.append("delivered after a loss")
            }
            expected = 1
        }
        if number != expected { problems.append("number \(number) instead of \(expected)") }
        processes[index].heard = (incarnation, association, number)
    }

    private func key(_ end: NodeInstance, _ association: UInt64) -> String { "\(end.incarnation)-\(association)" }
}
