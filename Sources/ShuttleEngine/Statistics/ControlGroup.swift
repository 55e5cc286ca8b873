// Owns reading what the control group of this process allows.

/// The version 2 control group this process is in, cgroups(7).
enum ControlGroup {
    /// CPUs that each level from this process's group up to the root allows.
    static func cpuQuotas() -> [Double] {
        guard let membership = MachineFacts.text(of: "/proc/self/cgroup"),
            let line = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
        else { return [] }
        var components = line.dropFirst("0::".count).split(separator: "/")
        var quotas: [Double] = []
        while true {
            let folder = "/sys/fs/cgroup/" + components.joined(separator: "/")
            if let quota = MachineFacts.text(of: folder + "/cpu.max").flatMap(quota(parsing:)) { quotas.append(quota) }
            if components.isEmpty { return quotas }
            components.removeLast()
        }
    }

    /// `"150000 100000"` is 1.5 CPUs; `"max 100000"` is no limit.
    static func quota(parsing text: String) -> Double? {
        let fields = text.split { $0 == " " || $0 == "\n" }
        guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]), period > 0 else {
            return nil
        }
        return quota / period
    }
}
