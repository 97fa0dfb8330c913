// SPDX-License-Identifier: Apache-2.0

import ServerSystem

extension MetricsPage {
    /// What the process has of the system, under the names that every Prometheus client uses.
    static func system(_ figures: ProcessFigures) -> [MetricFamily] {
        [
            figures.resident.map {
                MetricFamily(.gauge, "process_resident_memory_bytes", $0, "Bytes of memory the process has now.")
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
        ].compactMap { $0 }
    }

    /// What has come to the listeners.
    static func listeners(_ counts: AcceptCounts) -> [MetricFamily] {
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
        ]
    }
}
