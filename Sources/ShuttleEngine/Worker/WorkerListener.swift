// Owns what one worker knows of a listener: whether its accept is armed and what is to become of it.

/// A listener's place on one worker, at the same index as in every snapshot.
struct WorkerListener {
    var state = ListenerState.none
    var generation: UInt32 = 0
    var socket: Int32 = -1
    var table: UnsafePointer<ServiceTable>?
    var isAcceptArmed = false
    /// Not accepting until a descriptor or a slot is free again.
    var isPaused = false
}
