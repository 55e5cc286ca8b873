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

/// Listeners by place. Raw memory, since an array would ask at every use whether it is shared.
struct ListenerTable: ~Copyable {
    private var places: UnsafeMutablePointer<WorkerListener>
    private var capacity = 16
    private(set) var count = 0

    init() {
        places = .allocate(capacity: capacity)
    }

    deinit {
        places.deallocate()
    }

    var indices: Range<Int> { 0..<count }

    @inline(__always)
    subscript(_ index: Int) -> UnsafeMutablePointer<WorkerListener> {
        assert(index < count)
        return places + index
    }

    /// Adds empty places up to `newCount`; pointers from before are void then.
    mutating func grow(to newCount: Int) {
        if newCount > capacity {
            let larger = UnsafeMutablePointer<WorkerListener>.allocate(capacity: max(newCount, capacity * 2))
            larger.moveInitialize(from: places, count: count)
            places.deallocate()
            places = larger
            capacity = max(newCount, capacity * 2)
        }
        while count < newCount {
            (places + count).initialize(to: WorkerListener())
            count += 1
        }
    }
}
