// swift-tools-version: 6.2
import PackageDescription

// Several C modules in shuttled's packages declare libc's types anew, and which of them a member then belongs to is
// chance: its files cannot import what they use by the rule of MemberImportVisibility.
let controlSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]
let swiftSettings: [SwiftSetting] = controlSettings + [.enableUpcomingFeature("MemberImportVisibility")]

let package = Package(
    name: "shuttle",
    products: [
        .executable(name: "shuttled", targets: ["shuttled"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CURing", pkgConfig: "liburing", providers: [.apt(["liburing-dev"])]),
        .systemLibrary(name: "CPrivileges"),
        .systemLibrary(name: "CResolver"),
        .target(name: "ShuttleEngine", dependencies: ["CURing"], swiftSettings: swiftSettings),
        .executableTarget(
            name: "shuttled",
            dependencies: [
                "CPrivileges",
                "CResolver",
                "ShuttleEngine",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            resources: [.embedInCode("Dashboard/Page")],
            swiftSettings: controlSettings
        ),
        .testTarget(name: "ShuttleEngineTests", dependencies: ["ShuttleEngine"], swiftSettings: swiftSettings),
        .testTarget(name: "SimulationTests", dependencies: ["ShuttleEngine"], swiftSettings: swiftSettings),
        .testTarget(
            name: "ShuttledTests",
            dependencies: [
                "shuttled",
                "ShuttleEngine",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: controlSettings
        ),
    ]
)

// scripts/simulate and scripts/check-instructions build the engine alone: they must not wait for the control plane and
// its packages.
if let names = Context.environment["SHUTTLE_ONLY_TARGETS"]?.split(separator: " ").map(String.init) {
    // The benchmark is one module with the engine, so that it cannot be in the same package.
    if names.contains("EngineBenchmark") {
        package.targets.append(
            .executableTarget(
                name: "EngineBenchmark",
                dependencies: ["CURing"],
                path: "Tests/EngineBenchmark",
                swiftSettings: swiftSettings
            )
        )
    }
    package.targets.removeAll { !names.contains($0.name) }
    package.products.removeAll()
    package.dependencies.removeAll()
}
