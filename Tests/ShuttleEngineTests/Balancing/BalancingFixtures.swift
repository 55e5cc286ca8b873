// Owns a service's table for tests of choosing, with the memory it points to.

import Synchronization

@testable import ShuttleEngine

/// Backends with identifiers 1, 2, … and given weights.
final class TableFixture {
    let records: [UnsafeMutablePointer<BackendRecord>]
    private(set) var service: CompiledService
    /// What choices are drawn from.
    private let random = Mutex(SplitMix(seed: 1))
    private let serviceRecord: UnsafeMutablePointer<ServiceRecord>

    /// `configure` says more of each backend than its weight.
    init(
        weights: [Int],
        _ algorithm: BalanceAlgorithm = .roundRobin,
        queueLimit: Int = 0,
        deny: [String] = [],
        configure: (_ index: Int, _ backend: inout BackendConfiguration) -> Void = { _, _ in }
    ) {
        records = weights.indices.map { index in
            let record = UnsafeMutablePointer<BackendRecord>.allocate(capacity: 1)
            record.initialize(
                to: BackendRecord(
                    identifier: UInt32(index + 1),
                    address: .loopbackIPv4(port: UInt16(1000 + index)),
                    workerCount: 1
                )
            )
            return record
        }
        serviceRecord = .allocate(capacity: 1)
        serviceRecord.initialize(to: ServiceRecord(workerCount: 1))
        var configuration = ServiceConfiguration(
            name: "a",
            address: "127.0.0.1:80",
            backends: weights.enumerated().map { index, weight in
                var backend = BackendConfiguration(
                    name: "s\(index)", address: "127.0.0.1:\(1000 + index)", weight: weight)
                configure(index, &backend)
                return backend
            },
            balance: algorithm
        )
        configuration.queueLimit = queueLimit
        configuration.deny = deny
        let shares = CompiledService.shares(configuration, records)
        service = CompiledService(
            configuration: configuration,
            record: serviceRecord,
            backends: records,
            rotation: Rotation(shares),
            rotationShares: shares
        )
    }

    deinit {
        for record in records {
            record.deinitialize(count: 1)
            record.deallocate()
        }
        serviceRecord.deinitialize(count: 1)
        serviceRecord.deallocate()
    }

    var table: UnsafePointer<ServiceTable> { UnsafePointer(service.table) }
    var active: [Int] { records.map { $0.pointee.active.load(ordering: .relaxed) } }

    /// The index of the chosen backend.
    func choose(_ tried: TriedBackends = TriedBackends()) -> Int? {
        guard case .reserved(let chosen) = choice(tried) else { return nil }
        return records.firstIndex(of: chosen)!
    }

    /// The index of the backend chosen for a certain client.
    func choose(for client: UInt64, _ tried: TriedBackends = TriedBackends()) -> Int? {
        guard case .reserved(let chosen) = table.chooseBackend(for: client, excluding: tried) else { return nil }
        return records.firstIndex(of: chosen)!
    }

    func choice(_ tried: TriedBackends = TriedBackends()) -> BackendChoice {
        table.chooseBackend(for: random.withLock { $0.next() }, excluding: tried)
    }

    /// As after a snapshot that knows of the backends' health, and of their slow starts by then.
    func renew(at now: UInt64 = 0) { service = service.renewed(at: now) }

    /// As before the service is compiled for the first time, or by another configuration.
    func lookAtSlowStarts(at now: UInt64, isRunning: Bool) {
        CompiledService.advanceSlowStarts(
            of: service.configuration, records, record: serviceRecord, isRunning: isRunning, at: now)
    }

    func setUp(_ index: Int, _ isUp: Bool) { records[index].pointee.isUp.store(isUp, ordering: .relaxed) }

    func tried(_ indices: Int...) -> TriedBackends {
        var tried = TriedBackends()
        for index in indices { tried.insert(UInt32(index + 1)) }
        return tried
    }
}
