// Owns a run of the real worker over the benchmark's ring. scripts/check-instructions runs it under callgrind, which
// counts from `measuredTurns` to `report`, but not in the kernel; by itself it only says how much it has done. With
// `--timers` it measures the timing wheel instead, with `--access` the lists of who may come in, with `--records` what ended
// sessions leave.
//
// Engine and benchmark are one module, so that the worker is specialised for this ring as it is for the kernel's.

import Glibc
import Synchronization

@main
struct EngineBenchmark {
    static func main() {
        let names = Scenario.all.map(\.name)
        guard CommandLine.arguments.count == 2 else { fail("usage: EngineBenchmark \(names.joined(separator: " | "))") }
        if CommandLine.arguments[1] == "--list" {
            for name in names { print(name) }
            return
        }
        if CommandLine.arguments[1] == "--timers" { return TimerBenchmark.run() }
        if CommandLine.arguments[1] == "--access" { return AccessBenchmark.run() }
        if CommandLine.arguments[1] == "--records" { return run(Scenario.record, isTimed: true) }
        guard let scenario = Scenario.all.first(where: { $0.name == CommandLine.arguments[1] }) else {
            fail("unknown scenario '\(CommandLine.arguments[1])': use one of \(names.joined(separator: ", "))")
        }
        run(scenario)
    }

    private static func fail(_ text: String) -> Never {
        let line = "EngineBenchmark: \(text)\n"
        _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
        exit(64)
    }

    private static func run(_ scenario: Scenario, isTimed: Bool = false) {
        let kernel = UnsafeMutablePointer<BenchmarkKernel>.allocate(capacity: 1)
        kernel.initialize(to: BenchmarkKernel(scenario))
        let link = UnsafeMutablePointer<WorkerLink>.allocate(capacity: 1)
        link.initialize(to: WorkerLink(sessionCapacity: 4096, waker: RingWaker(ring: -1, event: -1)))
        let links = UnsafeMutableBufferPointer<UnsafeMutablePointer<WorkerLink>>.allocate(capacity: 1)
        links.initializeElement(at: 0, to: link)
        // Nothing is taken down: the process ends with the run.
        let snapshot = Unmanaged.passRetained(snapshot(of: scenario)).takeUnretainedValue()
        _ = link.pointee.mailbox.put(snapshot.view)
        let worker = Worker(
            ring: BenchmarkRing(kernel: kernel),
            index: 0,
            link: link,
            links: UnsafeBufferPointer(links),
            sessionCapacity: 4096,
            splicePolicy: scenario.splicePolicy
        )
        guard var worker else { fail("no address space for sessions") }
        if scenario.unit == .record {
            _ = worker.turn()
            guard let table = snapshot.view.pointee.listeners[0].table else { fail("there is no service") }
            if isTimed { return RecordBenchmark.time(&worker, table) }
            let count = RecordBenchmark.run(
                &worker, table, warmUp: scenario.unitsToWarmUp, measured: scenario.unitsToMeasure)
            report(units: count, of: scenario, 0)
        }
        warmUp(&worker, kernel, units: scenario.unitsToWarmUp)
        let before = kernel.pointee.units
        let turns = measuredTurns(&worker, kernel, units: before + scenario.unitsToMeasure)
        report(units: kernel.pointee.units - before, of: scenario, turns)
    }

    @inline(never)
    private static func warmUp(
        _ worker: inout Worker<BenchmarkRing>,
        _ kernel: UnsafeMutablePointer<BenchmarkKernel>,
        units: Int
    ) {
        while kernel.pointee.units < units { _ = worker.turn() }
    }

    @inline(never)
    private static func measuredTurns(
        _ worker: inout Worker<BenchmarkRing>,
        _ kernel: UnsafeMutablePointer<BenchmarkKernel>,
        units: Int
    ) -> Int {
        var turns = 0
        while kernel.pointee.units < units {
            _ = worker.turn()
            turns &+= 1
        }
        return turns
    }

    @inline(never)
    private static func report(units: Int, of scenario: Scenario, _ turns: Int) {
        print("\(units) \(scenario.unit.rawValue)s in \(turns) turns")
        exit(0)
    }

    /// One service on one listener, with two backends that take turns.
    private static func snapshot(of scenario: Scenario) -> Snapshot {
        let registry = Unmanaged.passRetained(RecordRegistry(workerCount: 1)).takeUnretainedValue()
        let configuration = ServiceConfiguration(
            name: "benchmark",
            address: "127.0.0.1:80",
            backends: ["one", "two"].map { BackendConfiguration(name: $0, address: "127.0.0.1:81") },
            clientTimeoutMilliseconds: scenario.idleTimeoutMilliseconds,
            serverTimeoutMilliseconds: scenario.idleTimeoutMilliseconds
        )
        let backends = configuration.backends.map { backend in
            registry.backend(.init(service: "benchmark", name: backend.name, address: .loopbackIPv4(port: 81)))
        }
        let shares = CompiledService.shares(configuration, backends)
        let service = CompiledService(
            configuration: configuration,
            record: registry.service(configuration.name),
            backends: backends,
            rotation: Rotation(shares),
            rotationShares: shares
        )
        let listener = ListenerEntry(
            state: .open,
            generation: 1,
            socket: BenchmarkKernel.listener,
            table: UnsafePointer(service.table)
        )
        return Snapshot(epoch: 1, services: [service], departing: [], listeners: [listener], sessionCapacity: 4096)
    }
}
