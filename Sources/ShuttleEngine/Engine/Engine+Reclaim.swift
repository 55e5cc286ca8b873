// Owns when what rings have left is given back: snapshots, records and names.
// Leaves to others: what is published (Engine), keeping records (RecordRegistry).

import Synchronization

extension Engine {
    /// Retires the records that neither the configuration nor a departing service names. Called when nothing departs.
    func retireUnused() {
        records.retire(exceptServices: Set(serviceIndices.keys), exceptBackends: keptBackends, epoch: epoch)
        reclaim()
    }

    /// Frees snapshots that every worker has left, and records that nothing reaches any more.
    func reclaim() {
        let oldest = workers.indices.map(acknowledgedEpoch(of:)).min() ?? 0
        snapshots.removeAll { $0.epoch < oldest }
        // Whoever looks for sessions of a record by its address must not find those of another.
        if asked == nil { records.collect(acknowledged: oldest) }
        forgetNames()
    }
}
