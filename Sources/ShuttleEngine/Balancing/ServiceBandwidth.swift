// Owns the bandwidth limits of a service as rings read them, and what all its sessions share of them.
// Leaves to others: the times (ByteRate), acting by them (Worker), setting the rates (Snapshot/CompiledService).

import Synchronization

/// One direction of a service.
struct DirectionBandwidth: ~Copyable {
    /// Bytes a second of each session, and of all together; 0 is no limit. Set by the control thread, and for sessions
    /// that are there as well.
    let sessionRate = Atomic<UInt64>(0)
    let serviceRate = Atomic<UInt64>(0)
    /// Up to when what the sessions have received together is paid for, in nanoseconds of the rings' clock.
    private let paidAt = Atomic<UInt64>(0)

    var isLimited: Bool {
        sessionRate.load(ordering: .relaxed) > 0 || serviceRate.load(ordering: .relaxed) > 0
    }

    func set(session: Int, service: Int) {
        sessionRate.store(UInt64(session), ordering: .relaxed)
        if serviceRate.exchange(UInt64(service), ordering: .relaxed) != UInt64(service) {
            paidAt.store(0, ordering: .relaxed)
        }
    }

    /// Whether a datagram of `bytes` passes at `now`; one that does is paid for, at the session's rate, of which `paidAt` is
    /// kept by the session, and at the service's.
    func admitsDatagram(_ bytes: Int, paidAt: inout UInt64, now: UInt64) -> Bool {
        let session = sessionRate.load(ordering: .relaxed)
        if session > 0, !ByteRate(bytesPerSecond: session).admitsDatagram(paidAt: paidAt, now: now) { return false }
        let service = serviceRate.load(ordering: .relaxed)
        if service > 0 {
            let rate = ByteRate(bytesPerSecond: service)
            let isAdmitted = withPaid { paidAt in
                guard rate.admitsDatagram(paidAt: paidAt, now: now) else { return false }
                paidAt = rate.paid(bytes, paidAt: paidAt, now: now)
                return true
            }
            guard isAdmitted else { return false }
        }
        if session > 0 { paidAt = ByteRate(bytesPerSecond: session).paid(bytes, paidAt: paidAt, now: now) }
        return true
    }

    /// Changes what was paid up to, for all rings at once: `body` is given it, and may change it.
    func withPaid<R>(_ body: (inout UInt64) -> R) -> R {
        var present = paidAt.load(ordering: .relaxed)
        while true {
            var next = present
            let result = body(&next)
            if next == present { return result }
            let exchange = paidAt.weakCompareExchange(expected: present, desired: next, ordering: .relaxed)
            if exchange.exchanged { return result }
            present = exchange.original
        }
    }
}

/// Both directions.
struct ServiceBandwidth: ~Copyable {
    let upload = DirectionBandwidth()
    let download = DirectionBandwidth()
    /// Times that a session was held back, ever.
    let holds = Atomic<UInt64>(0)

    func set(_ session: BandwidthConfiguration, _ service: BandwidthConfiguration) {
        upload.set(session: session.uploadBytesPerSecond, service: service.uploadBytesPerSecond)
        download.set(session: session.downloadBytesPerSecond, service: service.downloadBytesPerSecond)
    }
}
