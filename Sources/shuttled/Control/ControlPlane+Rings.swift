// Owns noticing that a ring is stuck, and that it goes on again.
// Leaves to others: telling the two apart (RingWatch), when to look (ManagerReports).

import Logging
import NIOCore

extension ControlPlane {
    /// Looks whether every ring has made a turn since the last look, and wakes them for the next one. Returns whether all have.
    func lookAtRings() -> Bool {
        let look = ringWatch.look(
            at: dataPlane.ringTurns(), milliseconds: NIODeadline.now().uptimeNanoseconds / 1_000_000)
        for (ring, milliseconds) in look.stalled {
            logger.critical(
                "a ring is stuck: its sessions stand still",
                metadata: [
                    "ring": "\(ring)", "milliseconds": "\(milliseconds)",
                    "remedy": "restart shuttled, and report what `cat /proc/PID/task/*/stack` says",
                ])
        }
        for (ring, milliseconds) in look.resumed {
            logger.error(
                "a ring goes on that was stuck", metadata: ["ring": "\(ring)", "milliseconds": "\(milliseconds)"])
        }
        dataPlane.wakeRings()
        return look.isAllWell
    }

    var serviceCount: Int { services.count }
    var activeSessions: Int { dataPlane.activeSessions }

    /// Rings that have made no turn for too long.
    var stalledRings: [Int] { ringWatch.stalledRings }
}
