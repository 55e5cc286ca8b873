// Owns when which places of a snapshot have changed, so that a worker visits those alone.
// Leaves to others: what is in a place (ListenerEntry, DatagramListenerEntry), and following it (Worker).

/// Of each block of places the epoch in which one of them last became another. A worker that goes from one epoch to a later
/// one, over whichever it has missed, visits the blocks that changed since: two of ten thousand places, for a change of two.
///
/// Raw memory of the snapshot that has it, which also frees it.
struct PlaceChanges {
    /// Small, so that few are visited in vain; and large, so that looking for them is a small part of looking at places.
    static let blockSize = 64

    private let epochs: UnsafeMutableBufferPointer<UInt64>
    private let placeCount: Int

    /// Compares `places` with those that were published before; without such all of them are new.
    init<Place: Equatable>(
        of places: UnsafeBufferPointer<Place>, epoch: UInt64,
        since previous: (places: UnsafeBufferPointer<Place>, changes: PlaceChanges)?
    ) {
        placeCount = places.count
        epochs = .allocate(capacity: (places.count + PlaceChanges.blockSize - 1) / PlaceChanges.blockSize)
        epochs.initialize(repeating: epoch)
        guard let previous else { return }
        for block in epochs.indices {
            let range = range(of: block)
            guard range.upperBound <= previous.places.count, range == previous.changes.range(of: block),
                range.allSatisfy({ places[$0] == previous.places[$0] })
            else { continue }
            epochs[block] = previous.changes.epochs[block]
        }
    }

    func deallocate() {
        epochs.deallocate()
    }

    @inline(__always)
    var blocks: Range<Int> { 0..<epochs.count }

    /// Whether a place of the block is another one than in `epoch`.
    @inline(__always)
    func hasChanged(_ block: Int, since epoch: UInt64) -> Bool { epochs[block] > epoch }

    @inline(__always)
    func range(of block: Int) -> Range<Int> {
        let start = block &* PlaceChanges.blockSize
        return start..<min(placeCount, start &+ PlaceChanges.blockSize)
    }
}
