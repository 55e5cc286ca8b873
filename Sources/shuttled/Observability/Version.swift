// Owns the version of the program.

enum Version {
    static let number = "0.1.0"
    /// What `-version` prints.
    static let text = "shuttled \(number)"
}
