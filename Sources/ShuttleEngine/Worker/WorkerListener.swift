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
    /// On the list of those of which the kernel is still to be told what has become of them.
    var isChanged = false
    var nextChanged = ListenerTable.none
}

/// Listeners by place. Raw memory, since an array would ask at every use whether it is shared.
struct ListenerTable: ~Copyable {
    /// No place.
    static let none = UInt32.max

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

    /// Adds empty places up to `newCount`; pointers from before are void then. There is room for as many again, which takes
    /// no memory until it is used: the service after thousands of the start does not have all of them moved.
    mutating func grow(to newCount: Int) {
        if newCount > capacity {
            capacity = newCount * 2
            let larger = UnsafeMutablePointer<WorkerListener>.allocate(capacity: capacity)
            larger.moveInitialize(from: places, count: count)
            places.deallocate()
            places = larger
        }
        while count < newCount {
            (places + count).initialize(to: WorkerListener())
            count += 1
        }
    }
}
