// Owns asking the kernel which CPUs this process may run on.

import CURing

enum ProcessorAffinity {
    /// CPUs in the calling thread's affinity mask, sched_getaffinity(2); at least 1.
    static var count: Int { max(1, Int(shuttle_affinity_count())) }
}
