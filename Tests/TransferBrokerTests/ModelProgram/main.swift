// SPDX-License-Identifier: Apache-2.0

// relay-model SEED FIRST COUNT [FAULT]: random schedules of the claim and routing model. It is a program of its own
// because millions of them want an optimised build. `scripts/prove model` runs it.

let usage = "usage: relay-model faults | relay-model SEED FIRST COUNT [FAULT]"
let arguments = Array(CommandLine.arguments.dropFirst())
if arguments == ["faults"] {
    for fault in ModelFault.allCases { print(fault.rawValue) }
} else if arguments.count >= 3, arguments.count <= 4, let seed = UInt64(arguments[0]),
    let first = UInt64(arguments[1]), let count = UInt64(arguments[2]), first <= UInt64.max - count,
    arguments.count == 3 || ModelFault(rawValue: arguments[3]) != nil
{
    var schedules = ModelSchedules(seed: seed, fault: arguments.dropFirst(3).first.flatMap(ModelFault.init(rawValue:)))
    schedules.run(first..<first + count)
    print(
        "schedules=\(schedules.schedules) steps=\(schedules.steps) early=\(schedules.early) states=\(schedules.states)")
    if let failure = schedules.failure { print(failure) }
} else {
    print(usage)
}
