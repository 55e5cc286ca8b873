// Owns the small worlds that named scenarios start from.

@testable import ShuttleEngine

extension RingSettings {
    /// Buffers as they are in production in number per session, small in size.
    static let roomy = RingSettings(bufferCount: 1200, bufferSize: 256, providedMax: 64)

    /// Without the byte limit, as on kernels before it: each receive is armed anew.
    static let roomyOneShot = RingSettings(bufferCount: 1200, bufferSize: 256, providedMax: 64, hasReceiveLimit: false)
}

extension SimulationPlan {
    /// One service on port 81 whose backends are at ports 1001, 1002, …
    static func oneService(
        _ name: String,
        backends: Int = 1,
        ring: RingSettings = .roomy,
        rings: Int = 1
    ) -> SimulationPlan {
        var plan = SimulationPlan(name: name)
        plan.rings = Array(repeating: ring, count: rings)
        plan.services = [
            ServicePlan(
                name: "a",
                port: 81,
                backends: (0..<backends).map { .init(name: "s\($0)", port: UInt16(1001 + $0)) }
            )
        ]
        return plan
    }

    /// One client, one backend.
    static func onePair(
        _ name: String,
        client: PeerScript,
        backend: PeerScript,
        ring: RingSettings = .roomy
    ) -> SimulationPlan {
        var plan = oneService(name, ring: ring)
        plan.arrivals = [Arrival(at: 0, port: 81, script: client)]
        plan.backendScript = { _, _ in backend }
        return plan
    }

    /// `count` clients that come every `gap` milliseconds.
    mutating func arrive(_ count: Int, every gap: Int = 0, from start: Int = 0, port: UInt16 = 81, _ script: PeerScript)
    {
        arrivals += (0..<count).map { Arrival(at: start + $0 * gap, port: port, script: script) }
    }
}

extension DatagramSimulation.Plan {
    /// One whose sessions are not idle for too long.
    static func patient(_ name: String) -> DatagramSimulation.Plan {
        var plan = DatagramSimulation.Plan()
        plan.name = name
        plan.service.udpIdleTimeoutMilliseconds = 60_000
        return plan
    }
}

extension PeerScript {
    /// Steps with large sends and reads, for scenarios that are about amounts.
    static func bulk(_ steps: [Step], chunk: Int = 16_384) -> PeerScript {
        PeerScript(steps: steps, sendChunk: chunk, readChunk: chunk)
    }
}
