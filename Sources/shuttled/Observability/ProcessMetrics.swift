// Owns the metrics of the process and of its rings. Leaves to others: what the kernel says of the process (ProcessReading
// reads it), services.

import Foundation
import ShuttleEngine

/// What the kernel says of this process; nil where it does not.
struct ProcessReading: Sendable {
    var startTime: Double?
    var processorSeconds: Double?
    var residentBytes: UInt64?
    var virtualBytes: UInt64?
    var openDescriptors: Int?
    var descriptorLimit: UInt64?

    /// Files of /proc, which are always at hand.
    static func now() -> ProcessReading {
        var reading = ProcessReading()
        reading.openDescriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))
            // Not the one by which they are read.
            .map { $0.count - 1 }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            reading.descriptorLimit = UInt64(limit.rlim_cur)
        }
        if let statistics = text(of: "/proc/self/stat") { reading.read(statistics) }
        if let since = reading.startTime, let boot = bootTime { reading.startTime = boot + since }
        return reading
    }

    /// Fields of proc_pid_stat(5), of which the second may have spaces and parentheses in it.
    mutating func read(_ statistics: String) {
        guard let end = statistics.lastIndex(of: ")") else { return }
        // The first of these is the third of the manual.
        let fields = statistics[statistics.index(after: end)...].split(separator: " ")
        guard fields.count > 21 else { return }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        if let user = Double(fields[11]), let system = Double(fields[12]) { processorSeconds = (user + system) / ticks }
        startTime = Double(fields[19]).map { $0 / ticks }
        virtualBytes = UInt64(fields[20])
        residentBytes = UInt64(fields[21]).map { $0 * UInt64(sysconf(Int32(_SC_PAGESIZE))) }
    }

    /// Seconds since 1970.
    private static let bootTime: Double? = text(of: "/proc/stat").flatMap { text in
        text.split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst("btime ".count)) }
    }

    private static func text(of path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

enum ProcessMetrics {
    static let all: [Metric<ProcessReading>] = [
        Metric("process_start_time_seconds", .gauge, "When the process started, in seconds since 1970.") {
            $0.startTime.map { .real($0) }
        },
        Metric("process_cpu_seconds_total", .counter, "CPU time of all threads, in user space and in the kernel.") {
            $0.processorSeconds.map { .real($0) }
        },
        Metric("process_resident_memory_bytes", .gauge, "Memory in use.") { $0.residentBytes.map { .whole($0) } },
        Metric("process_virtual_memory_bytes", .gauge, "Address space in use, most of which takes no memory.") {
            $0.virtualBytes.map { .whole($0) }
        },
        Metric("process_open_fds", .gauge, "Open file descriptors.") { $0.openDescriptors.map { .count($0) } },
        Metric("process_max_fds", .gauge, "File descriptors that may be open.") {
            $0.descriptorLimit.map { .whole($0) }
        },
    ]

    static let accessLog = MetricFamily(
        "shuttle_access_log_lines_total", .counter,
        "Sessions to be logged: written, overrun (the log was too slow for them), or failed (not taken by its place).")
    static let build = MetricFamily("shuttle_build_info", .gauge, "1, with the version.")
}

enum RingMetrics {
    static let stalled = MetricFamily(
        "shuttle_ring_stalled", .gauge, "1 while the ring makes no turn though it is woken: its sessions stand still.")
    static let all: [Metric<RingStatistics>] = [
        Metric("shuttle_ring_sessions", .gauge, "Sessions now.") { .count($0.sessions) },
        Metric("shuttle_ring_turns_total", .counter, "Rounds of the loop, each with a batch of completions.") {
            .whole($0.turns)
        },
        Metric("shuttle_ring_submissions_total", .counter, "Operations given to the kernel.") {
            .whole($0.submissions)
        },
        Metric("shuttle_ring_completions_total", .counter, "Completions taken from the kernel.") {
            .whole($0.completions)
        },
        Metric(
            "shuttle_ring_completion_overflows_total", .counter,
            "Turns in which completions had no place in the queue and waited in the kernel."
        ) { .whole($0.completionOverflows) },
        Metric("shuttle_ring_buffer_starvations_total", .counter, "Receives that found no buffer.") {
            .whole($0.starvations)
        },
        Metric(
            "shuttle_ring_accept_pauses_total", .counter,
            "Times that accepting paused for want of descriptors or slots."
        ) { .whole($0.acceptPauses) },
        Metric(
            "shuttle_ring_stale_completions_total", .counter, "Completions that came after their slot was given away."
        ) { .whole($0.staleCompletions) },
        Metric("shuttle_ring_spliced_bytes_total", .counter, "Bytes that the kernel moved by itself.") {
            .whole($0.splicedBytes)
        },
        Metric("shuttle_ring_adoptions_total", .counter, "Configurations taken up.") { .whole($0.adoptions) },
        Metric("shuttle_ring_adoption_max_seconds", .gauge, "The longest time that taking one up took.") {
            .real(Double($0.adoptionMicrosecondsMax) / 1e6)
        },
    ]
}
