// Owns how many CPUs this process may use: the affinity mask and the quota of its control group.

extension Engine {
    /// CPUs to run rings on by default: those of the affinity mask, fewer when the control group's quota allows less
    /// time than that. At least 1.
    public static func usableCPUs() -> Int {
        usableCPUs(allowed: ProcessorAffinity.count, quotas: ControlGroup.cpuQuotas())
    }

    static func usableCPUs(allowed: Int, quotas: [Double]) -> Int {
        let most = Double(min(allowed, Options.ringCounts.upperBound))
        return Int(max(1, quotas.reduce(most, min)).rounded(.up))
    }
}
