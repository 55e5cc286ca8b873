// Owns which backends' sessions come to a gradual end under a configuration. Leaves to others: carrying that to the
// records (RecordRegistry), ending sessions (Worker+Drain).

import Glibc

extension DrainRules {
    /// `previous`: what services that are not configured any more said last.
    init(_ services: [ResolvedService], previous: [CompiledService]) {
        self.init()
        for service in previous {
            periods[service.configuration.name] = UInt64(service.configuration.drainTimeoutMilliseconds)
        }
        for service in services {
            periods[service.configuration.name] = UInt64(service.configuration.drainTimeoutMilliseconds)
            for (index, backend) in service.configuration.backends.enumerated() where backend.state == .ready {
                running.insert(Engine.identity(of: index, in: service))
            }
        }
    }
}

extension Engine {
    /// The rings' clock.
    static func nowMilliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1000 &+ UInt64(time.tv_nsec) / 1_000_000
    }
}
