// SPDX-License-Identifier: Apache-2.0

import RelayNode
import ServerSystem
import TransferBroker

extension MetricsPage {
    /// What the process has of the system, the first few under the names that every Prometheus client uses.
    static func system(_ snapshot: MetricsSnapshot) -> [MetricFamily] {
        let figures = snapshot.process
        return [
            figures.resident.map {
                MetricFamily(.gauge, "process_resident_memory_bytes", $0, "Bytes of memory the process has now.")
            },
            figures.memoryLimit.map {
                MetricFamily(
                    .gauge, "relay_memory_limit_bytes", $0, "Bytes of memory near which new work is refused."
                )
            },
            figures.openDescriptors.map {
                MetricFamily(.gauge, "process_open_fds", $0, "File descriptors that are open now.")
            },
            figures.descriptorLimit.map {
                MetricFamily(.gauge, "process_max_fds", $0, "File descriptors that may be open.")
            },
            figures.processorTime.map {
                MetricFamily(
                    .counter, "process_cpu_seconds_total", milliseconds: $0, "Processor time used, in seconds."
                )
            },
            MetricFamily(
                "relay_event_loop_lag_seconds", figures.loopLag,
                "How late timers of the event loops are: how long everything on them waits."
            ),
            MetricFamily(
                .counter, "relay_clock_steps_total", figures.clockSteps,
                "How often the calendar clock of the machine was set by a second or more."
            ),
            MetricFamily(
                .counter, "relay_registry_write_errors_total", figures.failedWrites,
                "Changes of the users' registry that could not be written to the disk."
            ),
        ].compactMap { $0 }
    }

    /// What has come to the listeners.
    static func listeners(_ snapshot: MetricsSnapshot) -> [MetricFamily] {
        let (counts, handshakes) = (snapshot.accepts, snapshot.handshakes)
        func failed(_ fault: AcceptFault) -> UInt64 { counts.failed[fault] ?? 0 }
        return [
            MetricFamily(
                .counter, "relay_accepts_total", counts.accepted, "Connections accepted, by all listeners together."
            ),
            MetricFamily(
                .counter, "relay_accepts_failed_total", by: "reason",
                [
                    AcceptFault.descriptors.rawValue: failed(.descriptors),
                    AcceptFault.machineDescriptors.rawValue: failed(.machineDescriptors),
                    AcceptFault.memory.rawValue: failed(.memory), AcceptFault.aborted.rawValue: failed(.aborted),
                ],
                "How often a connection could not be accepted."
            ),
            MetricFamily(
                .counter, "relay_listeners_lost_total", counts.listenersLost, "Listeners that have failed for good."
            ),
            MetricFamily(
                .counter, "relay_tls_handshakes_total", by: "kind",
                ["full": handshakes.full, "resumed": handshakes.resumed, "failed": handshakes.failed],
                "TLS handshakes of clients that ended: with a new session, with one of before, or not well."
            ),
        ]
    }
}
